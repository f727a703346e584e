// Follows the change feed: checks each session that a change may concern, cuts the sessions without a right, ends those that an
// operator kicked, then acknowledges the epoch. A check each second cuts sessions whose certificate has expired.
import { rightEndsAt } from '../../admission/decide.ts'
import type { Change, ChangeReader } from '../../db/change-feed.ts'
import type { Admit } from '../admission/admit.ts'
import type { Session } from '../mqtt/connection/sessions.ts'
import type { Engine } from '../mqtt/index.ts'
import type { RegistryCache } from '../registry/registry-cache.ts'
import type { RegistryHealth } from '../registry/registry-health.ts'
import { createChangeQueue } from './change-queue.ts'

export type RevocationWatch = {
  /** Whether the feed could be read when last tried, from the registry it was. */
  healthy(): boolean
  stop(): void
}

type RevocationWatchOptions = {
  feed: ChangeReader
  /** The last epoch before this broker started; all its sessions are newer. */
  epoch: number
  pollMs: number
  /** Interval of the check for expired sessions; a second by default. */
  expiryCheckMs?: number | undefined
  /** Where the results of the repeated checks are kept. */
  health: RegistryHealth
  admit: Admit
  /** How long a session may last; 0 for no limit. */
  maxSessionAgeMs: number
  /** Whether the registry has been out of step for so long that no session may stay. */
  mustCut?(): boolean
  engine: Pick<
    Engine,
    | 'sessions'
    | 'cut'
    | 'end'
    | 'reauthorize'
    | 'reauthorizeStoredState'
    | 'policiesChanged'
    | 'purge'
    | 'clearSession'
    | 'clearRetained'
    | 'sessionsClearedTo'
  >
  /** Whether a device can never be admitted again. Throws where the registry cannot be read. */
  isGone(deviceId: string): boolean
  /** Throws where the registry is not the file it was. */
  assertSameRegistry(): void
  /** Gets every change before the watch acts on it; null without a cache. */
  memory: Pick<RegistryCache, 'changed' | 'fallBehind' | 'catchUp'> | null
  now: () => number
  onIssuersChanged(): void
  /** Called for every change, before sessions are checked. */
  onChange(change: Change): void
  /** `committedAt` is when the change was made, in ms since the epoch, by the clock of the process that made it. */
  onAcknowledged(epoch: number, sessionsCut: number, tookMs: number, committedAt: number): void
  onDoubt(error: unknown): void
}

const EXPIRY_CHECK_MS = 1_000

export function watchRevocations(options: RevocationWatchOptions): RevocationWatch {
  const { engine, health } = options

  const changes = createChangeQueue({
    feed: options.feed,
    epoch: options.epoch,
    work: {
      read,
      fellBehind: () => options.memory?.fallBehind(),
      caughtUp: () => options.memory?.catchUp(),
      actOn,
      stepsOf,
    },
    onAcknowledged: options.onAcknowledged,
  })

  const poll = setInterval(() => health.run('feed', changes.follow), options.pollMs)
  const expiryCheck = setInterval(() => {
    health.run('expiry', endExpired)
    health.run('file', options.assertSameRegistry)
  }, options.expiryCheckMs ?? EXPIRY_CHECK_MS)

  function read(change: Change): void {
    options.memory?.changed(change)
    options.onChange(change)
    if (change.kind === 'issuer') options.onIssuersChanged()
    if (change.kind === 'policy' && change.deviceId === null) engine.policiesChanged()
  }

  function actOn(change: Change): number {
    const { kind, deviceId, fingerprint, epoch } = change
    if (kind === 'session' || kind === 'stored_session') return kick(change)
    if (kind === 'retained') return clearRetained(change)
    const concerned =
      kind === 'certificate' && fingerprint !== null
        ? engine.sessions.ofCertificate(fingerprint)
        : engine.sessions.ofDevice(deviceId ?? '')
    if (kind === 'policy') {
      eachOf(concerned, engine.reauthorize)
      if (deviceId !== null) engine.reauthorizeStoredState(deviceId)
      return 0
    }
    const sessionsCut = eachOf(concerned, cutWhereRefused).filter(Boolean).length
    // Deleted: a new device may have its name already.
    const isDeletion = options.feed.isDeletion(change)
    if (deviceId !== null && (isDeletion || options.isGone(deviceId)))
      void engine.purge(deviceId).catch(options.onDoubt)
    if (isDeletion) engine.sessionsClearedTo(epoch)
    return sessionsCut
  }

  /** The device has lost no right: it may connect again at once. */
  function kick({ kind, deviceId, epoch }: Change): number {
    if (deviceId === null) return 0
    const sessions = engine.sessions.ofDevice(deviceId)
    const live = sessions.filter(({ connected, ended }) => connected && ended === null)
    eachOf(sessions, session => engine.end(session, 'session_kicked'))
    if (kind === 'stored_session') {
      engine.clearSession(deviceId)
      engine.sessionsClearedTo(epoch)
    }
    return live.length
  }

  function clearRetained({ topic, deviceId, at, epoch }: Change): number {
    if (topic === null) return 0
    engine.clearRetained({ topic, deviceId, at })
    engine.sessionsClearedTo(epoch)
    return 0
  }

  /** A connection admitted meanwhile was checked against the registry after the change. */
  function* stepsOf({ kind }: Change): Iterable<() => number> {
    for (const session of [...engine.sessions.all()]) {
      if (kind !== 'policy') yield () => (cutWhereRefused(session) ? 1 : 0)
      else
        yield () => {
          engine.reauthorize(session)
          return 0
        }
    }
    if (kind !== 'policy') return
    for (const deviceId of engine.policiesChanged())
      yield () => {
        engine.reauthorizeStoredState(deviceId)
        return 0
      }
  }

  function cutWhereRefused(session: Session): boolean {
    const admission = options.admit(session.identity)
    if (admission.admitted) {
      // A certificate superseded meanwhile has a grace, and the session ends with it.
      session.rightEndsAt = rightEndsAt(admission.record)
      return false
    }
    // An unreadable registry refuses new connections; live sessions stay until it can be read.
    if (admission.reason === 'registry_unavailable') throw new Error('the registry could not be read')
    engine.cut(session, admission.reason)
    return true
  }

  function endExpired(): void {
    if (options.mustCut?.() === true)
      return void eachOf(engine.sessions.all(), session => engine.cut(session, 'registry_isolated'))
    const now = options.now()
    eachOf(engine.sessions.all(), session => {
      if (isTooOld(session)) return engine.end(session, 'session_too_old')
      if (session.rightEndsAt > now) return
      const admission = options.admit(session.identity)
      if (admission.admitted) session.rightEndsAt = rightEndsAt(admission.record)
      else
        engine.cut(
          session,
          admission.reason === 'registry_unavailable' ? 'certificate_expired' : admission.reason,
        )
    })
  }

  /** By the monotonic clock, which no operator can set. */
  function isTooOld({ since }: Session): boolean {
    return options.maxSessionAgeMs > 0 && performance.now() - since >= options.maxSessionAgeMs
  }

  return {
    healthy: health.healthy,
    stop() {
      changes.stop()
      clearInterval(poll)
      clearInterval(expiryCheck)
    },
  }
}

/** The result of `work` for each session. An error for one session does not stop the others; the first is thrown at the end. */
function eachOf<T>(sessions: Iterable<Session>, work: (session: Session) => T): T[] {
  const results: T[] = []
  const failures: unknown[] = []
  for (const session of sessions) {
    try {
      results.push(work(session))
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length > 0) throw failures[0]
  return results
}
