// A device has reached one of its bounds: what it asked for is refused, and nothing of it was done. Not an outage: the store works.
import type { Reason } from '../../../db/reason.ts'

/** MQTT 5 answers it by Reason Code 0x97 (quota exceeded); MQTT 3.1.1 has no answer but to close the connection. */
export class QuotaExceeded extends Error {
  readonly reason: Reason = 'quota_exceeded'
  /** The topic of the PUBLISH that was refused; empty where another packet was. */
  readonly topic: string

  constructor(message: string, topic = '') {
    super(message)
    this.name = 'QuotaExceeded'
    this.topic = topic
  }
}
