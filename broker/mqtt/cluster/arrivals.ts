// What comes from other nodes, given to the sessions here: of what is retained the newest is kept, and of a shared subscription the members
// here get it where its publisher's node chose this one.
import type { RetainedState } from '../../../db/cluster/cluster-store.ts'
import { QuotaExceeded } from '../persistence/quota-exceeded.ts'
import type { EngineSide } from './engine-side.ts'
import { decodeEnvelope, type Envelope } from './message-codec.ts'
import type { RetainedVersions } from './retained-versions.ts'

export function createArrivals(parts: {
  me: number
  versions: RetainedVersions
  engine(): Pick<EngineSide, 'nextSequence' | 'receiveFrom' | 'retains'>
  readRetained(topic: string): Promise<RetainedState | undefined>
  onTrouble(error: unknown): void
}) {
  const { me, versions } = parts

  /** Throws where it cannot be written. */
  function deliver(envelope: Envelope, version: number): void {
    const { message, principal, shares } = envelope
    const engine = parts.engine()
    const own = { ...message, sequence: engine.nextSequence() }
    const isMine = (asked: string) => shares.get(asked) === me
    const isRetained = message.retain && versions.isNewer(message.topic, version)
    if (isRetained && principal !== null) engine.retains(principal)
    try {
      engine.receiveFrom(own, { isMine, isRetained })
    } catch (error) {
      if (!(error instanceof QuotaExceeded) || !isRetained) throw error
      parts.onTrouble(error)
      engine.receiveFrom(own, { isMine, isRetained: false })
    }
  }

  return {
    deliver,
    /** Of the log; `version` of what is retained, null where it is to be looked up. */
    take(envelope: Envelope, version: number | null): void | Promise<void> {
      const { topic, retain } = envelope.message
      if (!retain || version !== null) return deliver(envelope, version ?? 0)
      return parts.readRetained(topic).then(kept => {
        const isKept = kept !== undefined && isSame(kept, envelope)
        deliver(envelope, isKept ? kept.version : 0)
      })
    },
  }
}

/** Whether what is retained is this message. */
function isSame({ message }: RetainedState, envelope: Envelope): boolean {
  if (message === null) return envelope.message.payload.length === 0
  const kept = decodeEnvelope(message)
  return kept?.publisherNode === envelope.publisherNode && kept.number === envelope.number
}
