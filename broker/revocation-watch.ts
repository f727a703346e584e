// Follows the change feed: looks again at every session a change may concern, cuts those whose right has ended,
// then acknowledges the epoch. Time ends rights too: a sweep each second cuts what has expired.
import { rightEndsAt } from '../admission/decide.ts'
import type { Change, ChangeReader } from '../db/change-feed.ts'
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
  engine: Pick<Engine, 'sessions' | 'cut' | 'rebind' | 'rebindLeavings' | 'purge'>
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

export function watchRevocations(parts: WatchParts): RevocationWatch {
  const { feed, engine } = parts
  let epoch = parts.epoch
  let version = -1
  let lastRead = performance.now()
  const failures = new Map<() => void, unknown>()

  const poll = setInterval(() => guarded(follow), parts.pollMs)
  const sweep = setInterval(() => {
    guarded(endExpired)
    guarded(parts.assertSameRegistry)
  }, SWEEP_MS)

  /** Each step fails and recovers for itself: one that works proves nothing about another. */
  function guarded(step: () => void): void {
    try {
      step()
      failures.delete(step)
      if (step === follow) lastRead = performance.now()
    } catch (error) {
      failures.set(step, error)
      parts.onDoubt(error)
    }
  }

  function follow(): void {
    const seen = feed.dataVersion()
    if (seen === version) return
    for (;;) {
      const changes = feed.changesAfter(epoch, CHANGES_AT_ONCE)
      for (const change of changes) {
        const begin = performance.now()
        const sessionsCut = apply(change)
        epoch = change.epoch
        parts.onAcknowledged(epoch, sessionsCut, performance.now() - begin)
      }
      if (changes.length < CHANGES_AT_ONCE) break
    }
    version = seen
  }

  function apply(change: Change): number {
    if (change.kind === 'issuer') parts.onIssuersChanged()
    const concerned = sessionsOf(change)
    if (change.kind === 'policy') {
      for (const session of concerned) engine.rebind(session)
      engine.rebindLeavings(change.deviceId)
      return 0
    }
    const sessionsCut = concerned.filter(cutWhereRefused).length
    if (change.deviceId !== null) forgetWhereNothingAdmits(change.deviceId)
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
    if (admission.admitted) return false
    // A registry that cannot be read refuses newcomers; those inside stay until it says otherwise.
    if (admission.reason === 'registry_unavailable') throw new Error('the registry could not be read')
    engine.cut(session, admission.reason)
    return true
  }

  /** Decommissioning, or the loss of the last certificate that admits, ends the stored session too; suspension keeps it. */
  function forgetWhereNothingAdmits(deviceId: string): void {
    const device = parts.deviceNow(deviceId)
    if (device?.state === 'suspended') return
    const admits = device?.fingerprints.some(
      fingerprint => parts.admit({ fingerprint, chain: 'verified' }).admitted,
    )
    if (!admits) void engine.purge(deviceId).catch(parts.onDoubt)
  }

  function endExpired(): void {
    const now = parts.now()
    for (const session of engine.sessions.all()) {
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

  return {
    healthy: () => failures.size === 0,
    assertTrustworthy() {
      const replaced = failures.get(parts.assertSameRegistry)
      if (replaced !== undefined) throw replaced
      if (failures.has(follow) && performance.now() - lastRead >= parts.lossMs) throw failures.get(follow)
    },
    stop() {
      clearInterval(poll)
      clearInterval(sweep)
    },
  }
}
