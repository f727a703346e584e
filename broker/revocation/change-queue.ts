// The order in which the broker acts on changes. A change for one device or certificate is handled in the turn that reads it; a
// change for all sessions in slices, with the event loop in between. Epochs are acknowledged in order. Knows no sessions.
import type { Change, ChangeReader } from '../../db/change-feed.ts'

type ChangeActions = {
  /** A change was read and not handled yet. */
  read(change: Change): void
  /** The registry has changes that were not read yet. */
  fellBehind(): void
  /** All changes of the feed were read, but maybe not handled. */
  caughtUp(): void
  /** Handles a change for a certificate or a device; returns the number of sessions cut. */
  actOn(change: Change): number
  /** The steps of a change for all sessions; each returns the number of sessions cut. */
  stepsOf(change: Change): Iterable<() => number>
}

type ChangeQueueOptions = {
  feed: Pick<ChangeReader, 'dataVersion' | 'changesAfter'>
  /** Changes up to this epoch are already in effect. */
  epoch: number
  work: ChangeActions
  onAcknowledged(epoch: number, sessionsCut: number, tookMs: number, committedAt: number): void
}

type Pending = { change: Change; readAt: number; sessionsCut: number; done: boolean }

const CHANGES_AT_ONCE = 500
/** Further changes wait in the registry. */
const PENDING_MAX = 10_000
/** The longest time for which a change for all sessions holds the event loop. */
const SLICE_MS = 5

/** `follow` resolves when all changes of the feed are handled. It rejects where a step failed; the next call starts there. */
export function createChangeQueue({ feed, epoch, work, onAcknowledged }: ChangeQueueOptions) {
  let pending: Pending[] = []
  let readTo = epoch
  let actedTo = epoch
  let version = -1
  let following = false
  let stopped = false

  async function follow(): Promise<void> {
    if (following) return
    following = true
    try {
      read()
      for (let next = nextForAll(); next !== undefined && !stopped; next = nextForAll()) await actOnAll(next)
    } finally {
      following = false
    }
  }

  /** Reads further changes. A change for one certificate is handled at once, also between two slices of a change for all. */
  function read(): void {
    const seen = feed.dataVersion()
    if (seen !== version) work.fellBehind()
    else work.caughtUp()
    while (seen !== version && pending.length < PENDING_MAX) {
      const changes = feed.changesAfter(actedTo, CHANGES_AT_ONCE)
      for (const change of changes) {
        if (change.epoch <= readTo) continue
        readTo = change.epoch
        work.read(change)
      }
      if (changes.length < CHANGES_AT_ONCE) work.caughtUp()
      for (const change of changes) {
        const readAt = performance.now()
        const forAll = isForAll(change)
        const sessionsCut = forAll ? 0 : work.actOn(change)
        pending.push({ change, readAt, sessionsCut, done: !forAll })
        actedTo = change.epoch
        acknowledge()
      }
      if (changes.length < CHANGES_AT_ONCE) version = seen
    }
  }

  function nextForAll(): Pending | undefined {
    return pending.find(({ done }) => !done)
  }

  async function actOnAll(next: Pending): Promise<void> {
    // Binding reads the current policies, so one pass covers all policy changes read before it.
    const sameWork = pending.filter(({ done, change }) => !done && change.kind === 'policy')
    const sessionsCut = await inSlices(work.stepsOf(next.change))
    if (stopped) return
    next.sessionsCut = sessionsCut
    for (const covered of next.change.kind === 'policy' ? sameWork : [next]) covered.done = true
    acknowledge()
    read()
  }

  async function inSlices(steps: Iterable<() => number>): Promise<number> {
    let sessionsCut = 0
    let end = performance.now() + SLICE_MS
    for (const step of steps) {
      sessionsCut += step()
      if (performance.now() < end) continue
      await new Promise(resolve => setImmediate(resolve))
      if (stopped) return sessionsCut
      read()
      end = performance.now() + SLICE_MS
    }
    return sessionsCut
  }

  function acknowledge(): void {
    const undone = pending.findIndex(({ done }) => !done)
    if (undone === 0) return
    const ready = undone === -1 ? pending : pending.slice(0, undone)
    pending = undone === -1 ? [] : pending.slice(undone)
    for (const { change, sessionsCut, readAt } of ready)
      onAcknowledged(change.epoch, sessionsCut, performance.now() - readAt, change.at)
  }

  return {
    follow,
    stop() {
      stopped = true
    },
  }
}

function isForAll({ kind, deviceId, fingerprint }: Change): boolean {
  return kind !== 'retained' && deviceId === null && fingerprint === null
}
