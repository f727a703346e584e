// The round trips of a session that is there while something else happens: one message at a time, from its PUBLISH to the answer.
import type { TLSSocket } from 'node:tls'
import { countPackets, publishPacket, subscribePacket } from './mqtt-client.ts'

export type RoundTrips = {
  /** Milliseconds of each round trip since the last call. */
  took(): number[]
  stop(): void
}

/** QoS 1: until the PUBACK. QoS 0: until its own message comes back. */
export function watchRoundTrips(
  link: TLSSocket,
  { id, qos, everyMs, payload }: { id: string; qos: 0 | 1; everyMs: number; payload: Buffer },
): RoundTrips {
  const [PUBLISH, PUBACK] = [3, 4]
  const topic = `devices/${id}/x`
  let took: number[] = []
  let sentAt = 0
  if (qos === 0) link.write(subscribePacket(topic, 0))
  countPackets(link, qos === 0 ? PUBLISH : PUBACK, () => {
    took.push(performance.now() - sentAt)
    sentAt = 0
  })
  const timer = setInterval(() => {
    if (sentAt !== 0) return
    sentAt = performance.now()
    link.write(publishPacket(topic, payload, qos))
  }, everyMs)
  return {
    took() {
      const seen = took
      took = []
      return seen
    },
    stop: () => clearInterval(timer),
  }
}
