// What comes from other nodes, given to the sessions here: of what is retained the newest is kept, and of a shared subscription the members
// here get it where its publisher's node chose this one.
import type { RetainedState } from '../../../db/cluster/cluster-store.ts'
import type { Message } from '../message.ts'
import { QuotaExceeded } from '../persistence/quota-exceeded.ts'
import type { EngineSide } from './engine-side.ts'
import type { Envelope, EnvelopeCodec } from './message-codec.ts'
import { createPlacements } from './placements.ts'
import type { RefusedRow } from './refused-rows.ts'
import type { RetainedVersions } from './retained-versions.ts'

const REMOVAL: Omit<Message, 'topic' | 'sequence'> = {
  ...{ payload: Buffer.alloc(0), qos: 1 as const, retain: true },
  ...{ publisher: null, properties: null, expiresAt: null },
}

export type Arrivals = ReturnType<typeof createArrivals>

export function createArrivals(parts: {
  me: number
  versions: RetainedVersions
  engine(): EngineSide
  decode: EnvelopeCodec['decode']
  readRetained(topic: string): Promise<RetainedState | undefined>
  /** Hands it to the members of a group at another node, by the log. */
  passOn(asked: string, node: number, message: Message): void
  hasEnded(node: number): boolean
  /** Whether this node hears of others now. */
  hears(): boolean
  onTrouble(error: unknown): void
}) {
  const { me, versions } = parts

  /** Throws where it cannot be written. */
  function deliver(envelope: Envelope, version: number): void {
    const { message, principal, onlyShared, publisherNode, shares } = envelope
    const engine = parts.engine()
    const own = { ...message, sequence: engine.nextSequence() }
    const isRetained = message.retain && versions.isNewer(message.topic, version)
    if (isRetained && principal !== null) engine.retains(principal)
    if (onlyShared) {
      // An operator cleared it: nobody is sent anything.
      if (isRetained) engine.keepRetained(own)
    } else {
      const receive = (isKept: boolean) =>
        engine.receiveFrom(own, { isRetained: isKept, publisherNode, shares })
      let left: readonly string[]
      try {
        left = receive(isRetained)
      } catch (error) {
        if (!(error instanceof QuotaExceeded) || !isRetained) throw error
        parts.onTrouble(error)
        left = receive(false)
      }
      for (const asked of left) giveToGroup(asked, own)
    }
    for (const [asked, node] of shares) if (node === me) giveToGroup(asked, own)
  }

  const placements = createPlacements({
    tryPlace(asked, message) {
      const engine = parts.engine()
      try {
        const node = engine.placeOf(asked)
        if (node === null || parts.hasEnded(node)) return engine.giveToGroup(asked, message)
        parts.passOn(asked, node, message)
        return true
      } catch (error) {
        parts.onTrouble(error)
        return false
      }
    },
    hears: parts.hears,
    onForgotten: asked => parts.engine().forgotten(asked),
  })

  function giveToGroup(asked: string, message: Message): void {
    const isInLine = message.qos > 0 && placements.isWaiting(asked, message.topic)
    if (!isInLine && parts.engine().giveToGroup(asked, message)) return
    if (message.qos > 0) placements.add(asked, message)
  }

  /** What a topic held before, for a message that was refused stands there here alone. */
  async function retainBefore({ topic, number }: { topic: string; number: number }): Promise<void> {
    const kept = await parts.readRetained(topic)
    if (!versions.refused(topic, number)) return
    const engine = parts.engine()
    const envelope = kept?.message == null ? null : parts.decode(kept.message)
    if (envelope?.principal != null) engine.retains(envelope.principal)
    engine.keepRetained({ ...(envelope?.message ?? REMOVAL), topic, sequence: engine.nextSequence() })
  }

  return {
    deliver,
    /** PostgreSQL does not take this of what was done here. */
    refused(rows: readonly RefusedRow[]): void {
      for (const { message, row, error } of rows) {
        const what = message === null ? `${row?.kind} of ${row?.clientId}` : `a message on ${message.topic}`
        parts.onTrouble(new Error(`PostgreSQL refuses ${what}: ${error.message}`, { cause: error }))
        if (row !== null) parts.engine().rowRefused(row.clientId)
        if (message?.isRetained) retainBefore(message).catch(parts.onTrouble)
      }
    },
    /** A message of a shared subscription that a node was to give to its members and did not. */
    place(asked: string, envelope: Pick<Envelope, 'message'>): void {
      const { nextSequence } = parts.engine()
      placements.add(asked, { ...envelope.message, retain: false, sequence: nextSequence() })
    },
    /** Of the log; `version` of what is retained, null where it is to be looked up. */
    take(envelope: Envelope, version: number | null): void | Promise<void> {
      const { topic, retain } = envelope.message
      if (!retain || version !== null) return deliver(envelope, version ?? 0)
      return parts.readRetained(topic).then(kept => {
        const isKept = kept !== undefined && isSame(kept, envelope, parts.decode)
        deliver(envelope, isKept ? kept.version : 0)
      })
    },
  }
}

/** Whether what is retained is this message. */
function isSame({ message }: RetainedState, envelope: Envelope, decode: EnvelopeCodec['decode']): boolean {
  if (message === null) return envelope.message.payload.length === 0
  const kept = decode(message)
  return kept?.publisherNode === envelope.publisherNode && kept.number === envelope.number
}
