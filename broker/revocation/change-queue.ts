// In which order changes are acted on: one about a few sessions in the turn it is read in, one about everybody in slices that
// let the event loop go on between them, each acknowledged once all before it are done. Knows no sessions.
import type { Change, ChangeReader } from '../../db/change-feed.ts'

export type ChangeActions = {
  /** A change was read, and nothing has been done about it yet. */
  read(change: Change): void
  /** Something was written that has not been read. */
  fellBehind(): void
  /** All that the feed holds has been read, though maybe not acted on. */
  caughtUp(): void
  /** Acts on a change about a certificate or a device. Gives how many sessions it cut. */
  actOn(change: Change): number
  /** What a change about everybody asks for: a step for each concerned, which gives how many sessions it cut. */
  stepsOf(change: Change): Iterable<() => number>
}

export type ChangeQueueOptions = {
  feed: Pick<ChangeReader, 'dataVersion' | 'changesAfter'>
  /** Changes up to this epoch need no acting on. */
  epoch: number
  work: ChangeActions
  onAcknowledged(epoch: number, sessionsCut: number, tookMs: number, committedAt: number): void
}

type Pending = { change: Change; readAt: number; sessionsCut: number; done: boolean }

const CHANGES_AT_ONCE = 500
/** Beyond this the rest waits in the registry. */
const PENDING_MAX = 10_000
/** How long others wait while everybody is looked at. */
const SLICE_MS = 5

/** `follow` resolves when all that the feed holds is done; it rejects where a step failed, and begins there again when called again. */
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

  /** Reads on; whoever has to go because of one certificate goes now, also while everybody is being looked at. */
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
    // Rights are bound to what the registry says at that moment: one pass is enough for all changes read before it.
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

function isForAll({ deviceId, fingerprint }: Change): boolean {
  return deviceId === null && fingerprint === null
}
