// Follows the change feed: looks again at every session a change may concern, cuts those whose right has ended,
// then acknowledges the epoch. Time ends rights too: a sweep each second cuts what has expired.
import { rightEndsAt } from '../admission/decide.ts'
import type { Change, ChangeReader } from '../db/change-feed.ts'
import type { Reason } from '../db/reason.ts'
import type { Admit } from './admit.ts'
import type { Engine } from './engine/index.ts'
import type { Session } from './engine/sessions.ts'

export type RevocationWatch = {
  /** Whether the feed could be read when last tried, from the registry it was. */
  healthy(): boolean
  /** Throws where newcomers can no longer be judged: another registry lies there, or the feed is lost for too long. */
  assertTrustworthy(): void
  stop(): void
}

export type WatchParts = {
  feed: ChangeReader
  /** The epoch before which no session of this broker can be: it began after it. */
  epoch: number
  pollMs: number
  /** How long the feed may stay unread before nobody new is admitted. */
  lossMs: number
  admit: Admit
  /** How long a session may last; 0 for no limit. */
  maxSessionAgeMs: number
  engine: Pick<Engine, 'sessions' | 'cut' | 'end' | 'rebind' | 'rebindLeavings' | 'purge'>
  /** What the registry says of a device now: its state and the fingerprints of its certificates. */
  deviceNow(deviceId: string): { state: string; fingerprints: string[] } | null
  /** Throws where the registry is not the file it was. */
  assertSameRegistry(): void
  now: () => number
  onIssuersChanged(): void
  onAcknowledged(epoch: number, sessionsCut: number, tookMs: number): void
  onDoubt(error: unknown): void
}

const CHANGES_AT_ONCE = 500
const SWEEP_MS = 1_000
/** A change that concerns everybody is acted on in slices: newcomers under other issuers must not wait for its end. */
const SLICE = 100

/** What keeps a certificate out for now. */
const keeping: readonly Reason[] = ['certificate_suspended', 'registry_unavailable']

export function watchRevocations(parts: WatchParts): RevocationWatch {
  const { feed, engine } = parts
  let epoch = parts.epoch
  let version = -1
  let lastRead = performance.now()
  let following = false
  let stopped = false
  const failures = new Map<() => unknown, unknown>()

  const poll = setInterval(() => guarded(follow), parts.pollMs)
  const sweep = setInterval(() => {
    guarded(endExpired)
    guarded(parts.assertSameRegistry)
  }, SWEEP_MS)

  /** Each step fails and recovers for itself: one that works proves nothing about another. */
  async function guarded(step: () => unknown): Promise<void> {
    try {
      await step()
      failures.delete(step)
      if (step === follow) lastRead = performance.now()
    } catch (error) {
      failures.set(step, error)
      parts.onDoubt(error)
    }
  }

  async function follow(): Promise<void> {
    if (following) return
    following = true
    try {
      await followOn()
    } finally {
      following = false
    }
  }

  /** Changes are acted on in their order, each to its end; what concerns few sessions, in one turn of the event loop. */
  async function followOn(): Promise<void> {
    const seen = feed.dataVersion()
    if (seen === version) return
    for (;;) {
      const changes = feed.changesAfter(epoch, CHANGES_AT_ONCE)
      for (const change of changes) {
        const begin = performance.now()
        const cutAtOnce = apply(change)
        const sessionsCut = typeof cutAtOnce === 'number' ? cutAtOnce : await cutAtOnce
        if (stopped) return
        epoch = change.epoch
        parts.onAcknowledged(epoch, sessionsCut, performance.now() - begin)
      }
      if (changes.length < CHANGES_AT_ONCE) break
    }
    version = seen
  }

  function apply(change: Change): number | Promise<number> {
    if (change.kind === 'issuer') parts.onIssuersChanged()
    const concerned = sessionsOf(change)
    if (change.kind === 'policy') {
      for (const session of concerned) engine.rebind(session)
      engine.rebindLeavings(change.deviceId)
      return 0
    }
    if (concerned.length > SLICE) return cutInSlices(concerned)
    const sessionsCut = concerned.filter(cutWhereRefused).length
    if (change.deviceId !== null) forgetWhereNothingAdmits(change.deviceId)
    return sessionsCut
  }

  async function cutInSlices(concerned: Session[]): Promise<number> {
    let sessionsCut = 0
    for (let at = 0; at < concerned.length && !stopped; at += SLICE) {
      sessionsCut += concerned.slice(at, at + SLICE).filter(cutWhereRefused).length
      await new Promise(resolve => setImmediate(resolve))
    }
    return sessionsCut
  }

  function sessionsOf(change: Change): Session[] {
    if (change.kind === 'certificate' && change.fingerprint !== null) {
      return engine.sessions.ofCertificate(change.fingerprint)
    }
    return change.deviceId !== null ? engine.sessions.ofDevice(change.deviceId) : [...engine.sessions.all()]
  }

  function cutWhereRefused(session: Session): boolean {
    const admission = parts.admit(session.identity)
    if (admission.admitted) {
      // One that was superseded meanwhile ends with its grace.
      session.rightEndsAt = rightEndsAt(admission.record)
      return false
    }
    // A registry that cannot be read refuses newcomers; those inside stay until it says otherwise.
    if (admission.reason === 'registry_unavailable') throw new Error('the registry could not be read')
    engine.cut(session, admission.reason)
    return true
  }

  /**
   * Decommissioning, or the loss of the last certificate that admits, ends the stored session too; suspension, of the
   * device or of a certificate, keeps it.
   */
  function forgetWhereNothingAdmits(deviceId: string): void {
    const device = parts.deviceNow(deviceId)
    if (device?.state === 'suspended') return
    const mayReturn = device?.fingerprints.some(fingerprint => {
      const admission = parts.admit({ fingerprint, chain: 'verified' })
      return admission.admitted || keeping.includes(admission.reason)
    })
    if (!mayReturn) void engine.purge(deviceId).catch(parts.onDoubt)
  }

  function endExpired(): void {
    const now = parts.now()
    for (const session of engine.sessions.all()) {
      if (isTooOld(session)) {
        engine.end(session, 'session_too_old')
        continue
      }
      if (session.rightEndsAt > now) continue
      const admission = parts.admit(session.identity)
      if (admission.admitted) session.rightEndsAt = rightEndsAt(admission.record)
      else
        engine.cut(
          session,
          admission.reason === 'registry_unavailable' ? 'certificate_expired' : admission.reason,
        )
    }
  }

  /** Told by a clock that nobody sets. */
  function isTooOld({ since }: Session): boolean {
    return parts.maxSessionAgeMs > 0 && performance.now() - since >= parts.maxSessionAgeMs
  }

  return {
    healthy: () => failures.size === 0,
    assertTrustworthy() {
      const replaced = failures.get(parts.assertSameRegistry)
      if (replaced !== undefined) throw replaced
      if (failures.has(follow) && performance.now() - lastRead >= parts.lossMs) throw failures.get(follow)
    },
    stop() {
      stopped = true
      clearInterval(poll)
      clearInterval(sweep)
    },
  }
}
