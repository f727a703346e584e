// An application message inside the broker (MQTT 5 §3.3), whatever the protocol version of its publisher and receivers.

export type QoS = 0 | 1 | 2

export type Message = {
  topic: string
  payload: Buffer
  /** As it was published. */
  qos: QoS
  /** Whether it was published to be retained. */
  retain: boolean
  /** The client ID of its publisher; null for the broker itself. */
  publisher: string | null
  /** Of MQTT 5: the bytes of the properties that travel with it, in the publisher's order; null for none. */
  properties: Buffer | null
  /** When it expires, in ms since the epoch; null for never (MQTT 5 §3.3.2.3.3). */
  expiresAt: number | null
  /** Its number among all messages of this broker, by which queues are ordered. */
  sequence: number
}

/** `at` is when it was retained, in ms since the epoch; null where that is not known, as of another node's. */
export type RetainedMessage = Message & { at: number | null }

/** What a message weighs beside topic and payload: object, buffer header, map entries. */
const OVERHEAD_BYTES = 256

/** What keeping it costs, in bytes. */
export function weigh({
  topic,
  payload,
  properties,
}: Pick<Message, 'topic' | 'payload' | 'properties'>): number {
  return OVERHEAD_BYTES + topic.length + payload.length + (properties?.length ?? 0)
}

export function isExpired({ expiresAt }: Pick<Message, 'expiresAt'>, now: number): boolean {
  return expiresAt !== null && expiresAt <= now
}

/** Whole seconds left of it, rounded up: at least 1 of a message that has not expired [MQTT-3.3.2-6]. */
export function secondsLeft(expiresAt: number, now: number): number {
  return Math.max(1, Math.ceil((expiresAt - now) / 1_000))
}
