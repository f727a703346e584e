// The retained messages: in memory to be found, on disk to stay, each charged to the device that published it last. What does not
// fit is refused before anything of it is done; nobody's message goes because another wrote.
import type { SessionRecords } from '../../../db/sessions/session-records.ts'
import {
  createRetainedLedger,
  type RetainedBounds,
  type RetainedRefusal,
  weighRetained,
} from '../retained-ledger.ts'
import type { GroupCommit } from './group-commit.ts'
import { QuotaExceeded } from './quota-exceeded.ts'
import { createRetainedTopics } from './retained-topics.ts'
import type { StoredPacket } from './stored-state.ts'

/** Of the broker's own messages. */
const UNBOUND = { messages: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY }

const QUOTA = {
  device: 'the device retains as much as one device may (deviceRetainedMessagesMax, deviceRetainedBytesMax)',
  all: 'all devices together retain as much as they may (retainedMessagesMax, retainedBytesMax)',
}

export type RetainedStore = ReturnType<typeof createRetainedStore>

export function createRetainedStore(parts: {
  records: Pick<SessionRecords, 'retained' | 'retain' | 'unretain'>
  commit: Pick<GroupCommit, 'owe' | 'write'>
  all: RetainedBounds
  /** What this device may retain, in all that it published last. */
  boundsOf(deviceId: string): RetainedBounds
}) {
  const { records, commit } = parts
  const topics = createRetainedTopics()
  const ledger = createRetainedLedger(parts.all)

  function show(packet: StoredPacket): void {
    if (packet.payload.length === 0) topics.remove(packet.topic)
    else topics.put(packet)
  }

  function refusal(packet: StoredPacket): RetainedRefusal {
    if (packet.topic.startsWith('$') || packet.payload.length === 0) return null
    const { clientId } = packet
    return ledger.refusal(chargeOf(packet), clientId === undefined ? UNBOUND : parts.boundsOf(clientId))
  }

  function store(packet: StoredPacket): boolean {
    const { topic, payload, qos } = packet
    const isOwn = topic.startsWith('$')
    if (!isOwn && payload.length === 0) {
      ledger.remove(topic)
      commit.owe(() => records.unretain(topic))
    } else if (!isOwn) {
      const refused = refusal(packet)
      if (refused !== null) throw new QuotaExceeded(QUOTA[refused], topic)
      const row = { topic, payload, qos, device: packet.clientId ?? null }
      // Nobody is told of a message of QoS 0.
      if (qos === 0) commit.owe(() => records.retain(row))
      else commit.write(() => records.retain(row))
      ledger.put(chargeOf(packet))
    }
    show(packet)
    return !isOwn
  }

  return {
    /** Takes up what the last life left, whatever the bounds are now. */
    load(): void {
      for (const { device, ...row } of records.retained()) {
        const owner = device === null ? {} : { clientId: device }
        const message = { cmd: 'publish', ...row, retain: true, ...owner }
        ledger.put(chargeOf(message))
        show(message)
      }
    },
    /** Which bound stands in the way of retaining this message; null where it fits. */
    refusal,
    /**
     * Retains a message; one without payload clears its topic. What the broker retains below `$` holds for this life of it. Gives whether
     * anything was written. Throws `QuotaExceeded` where its device, or all together, retain as much as they may.
     */
    store,
    topics,
    /** Forgets what this device published last, topic by topic. */
    forget(deviceId: string): void {
      for (const topic of topics.leftBy(deviceId)) {
        const packet = topics.of(topic)
        if (packet !== undefined) store({ ...packet, payload: Buffer.alloc(0) })
      }
    },
    of: ledger.of,
    counts: ledger.counts,
  }
}

function chargeOf({ topic, payload, clientId }: StoredPacket) {
  return { topic, owner: clientId ?? null, bytes: weighRetained({ topic, payload }) }
}
