// How fast a device is shown what is retained. It asks for as much as it likes, again and again, by one small packet: what it is shown
// has the rate and burst of what it may send, in a bucket that outlives its connections.

import { createBuckets, type TokenBucket, take } from '../connection/token-bucket.ts'
import type { DeviceBounds } from '../device-bounds.ts'
import type { Client } from '../state.ts'

export type ShowThrottle = ReturnType<typeof createShowThrottle>

/** `boundsOf` tells those of a device or of a backend. */
export function createShowThrottle(boundsOf: (isBackend: boolean) => DeviceBounds) {
  const now = () => performance.now()
  const rateOf = ({ session }: Client) => boundsOf(session.rights.isBackend === true).rate
  const buckets = createBuckets(now)
  const own = new WeakMap<Client, TokenBucket>()

  return {
    /** A message of so many bytes was shown. Gives for how many ms the next one is to wait. */
    shown(client: Client, bytes: number): number {
      const bounds = rateOf(client)
      const bucket = own.get(client) ?? buckets.enter(client.session.identity.deviceId, bounds)
      own.set(client, bucket)
      return take(bucket, bounds, { messages: 1, bytes }, now())
    },

    closed(client: Client): void {
      if (own.delete(client)) buckets.leave(client.session.identity.deviceId, rateOf(client))
    },
  }
}
