// How fast a connection is read: in slices of an event-loop turn, no faster than its device may send, and with no more in hand than one
// packet may have. What is not read stays in the socket, and TCP slows the device down. Judges no packet.

import type { DeviceBounds } from '../device-bounds.ts'
import type { Incoming } from '../protocol/packets.ts'
import type { Client } from '../state.ts'
import { createBuckets, take, waitMs } from './token-bucket.ts'

/** For how long packets of one connection are handled in one turn: then it is the turn of others. */
const SLICE_MS = 1
/** So often a device that is not read is known not to be silent: its keep-alive counts from then on. */
const LOOK_MS = 1_000

export type Throttle = ReturnType<typeof createThrottle>

export function createThrottle(parts: {
  boundsOf(isBackend: boolean): DeviceBounds
  /** Bytes of messages that may wait for the disk; no more is read until they are written. */
  inHandBytesMax: number
  /** A device has sent more than it may, and is not read for a while. */
  onHeld(client: Client): void
  hold(client: Client): void
  release(client: Client): void
}) {
  let sliced = 0
  const buckets = createBuckets(() => performance.now())
  const boundsOf = ({ session }: Client) => parts.boundsOf(session.rights.isBackend === true).rate

  function wait(client: Client, heldMs: number): void {
    setTimeout(
      () => {
        if (client.phase === 'closed' || client.bucket === null) return
        const now = performance.now()
        client.heardAt = now
        const owedMs = waitMs(client.bucket, boundsOf(client), now)
        if (owedMs > 0) wait(client, owedMs)
        else parts.release(client)
      },
      Math.min(heldMs, LOOK_MS),
    ).unref()
  }

  function goOn(client: Client): void {
    sliced -= 1
    parts.release(client)
  }

  return {
    /** Whether packets of some connection wait for their next slice. */
    isBusy: () => sliced > 0,

    /** Something came, or is read on: a new slice. */
    begin(client: Client): void {
      client.sliceEndsAt = performance.now() + SLICE_MS
    },

    /** A packet that counts for so many messages, of so many bytes behind its fixed header, has been handled. */
    handled(client: Client, messages: number, bytes: number, isMore: boolean): void {
      if (client.phase === 'closed') return
      let heldMs = 0
      const now = performance.now()
      if (messages > 0) {
        const bounds = boundsOf(client)
        client.bucket ??= buckets.enter(client.session.identity.deviceId, bounds)
        heldMs = take(client.bucket, bounds, { messages, bytes }, now)
      }
      if (heldMs > 0) {
        parts.onHeld(client)
        parts.hold(client)
        wait(client, heldMs)
      } else if (isMore && client.holds === 0 && now >= client.sliceEndsAt) {
        parts.hold(client)
        sliced += 1
        setImmediate(goOn, client)
      }
      if (client.inHandBytes > parts.inHandBytesMax && !client.isHeldInHand) {
        client.isHeldInHand = true
        parts.hold(client)
      }
    },

    /** What a device may still send at once, for the node that it goes to, and from the one that it comes from. */
    tokensLeft: buckets.left,
    takeInTokens: buckets.takeIn,

    /** What it sent is on disk. */
    written(client: Client): void {
      if (!client.isHeldInHand || client.inHandBytes > parts.inHandBytesMax) return
      client.isHeldInHand = false
      parts.release(client)
    },

    closed(client: Client): void {
      if (client.bucket === null) return
      client.bucket = null
      buckets.leave(client.session.identity.deviceId, boundsOf(client))
    },
  }
}

/**
 * What a packet counts for, asked before it is handled: a message each, a filter each. What answers the broker is free, for the broker
 * sent more; an acknowledgement of nothing is a message.
 */
export function messagesOf(packet: Incoming, { state }: Pick<Client, 'state'>): number {
  switch (packet.cmd) {
    case 'publish':
    case 'pingreq':
      return 1
    case 'subscribe':
      return packet.subscriptions.length
    case 'unsubscribe':
      return packet.filters.length
    case 'puback':
    case 'pubcomp':
      return state?.inFlight?.has(packet.messageId) ? 0 : 1
    case 'pubrec':
      return state?.inFlight?.get(packet.messageId)?.released === false ? 0 : 1
    case 'pubrel':
      return state?.incoming?.has(packet.messageId) ? 0 : 1
    default:
      return 0
  }
}
