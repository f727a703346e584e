// How long a message takes from the permission to publish it until every receiver's connection or queue has it. One of some
// is timed: reading the clock for each would cost a hundredth of the message.
import type { Client, PublishPacket } from 'aedes'

type Done = (error?: Error | null) => void
type Publish = (packet: PublishPacket, client: Client | null, done: Done) => void

const ONE_OF = 16

export function timeRouting(publish: Publish, took: (ms: number) => void): Publish {
  let left = 1
  return (packet, client, done) => {
    left -= 1
    if (left > 0) return publish(packet, client, done)
    left = ONE_OF
    const begin = performance.now()
    publish(packet, client, error => {
      took(performance.now() - begin)
      done(error)
    })
  }
}
