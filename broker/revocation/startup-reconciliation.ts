// After a start: checks the sessions, retained messages and wills that were stored before it against the registry, and sends
// the wills that are due. Works in slices, so that new connections do not wait.
import type { ChangeReader } from '../../db/change-feed.ts'
import type { Engine } from '../mqtt/index.ts'

const SLICE_MS = 5
const RETRY_MS = 1_000

export function reconcileStoredState(options: {
  engine: Pick<Engine, 'leftBy' | 'restoredWills' | 'purge' | 'reauthorizeStoredState'>
  isGone(deviceId: string): boolean
  onDoubt(error: unknown): void
}): { stop(): void } {
  const steps = stepsOf(options)[Symbol.iterator]()
  let next = steps.next()
  let timer: NodeJS.Timeout | null = null
  let stopped = false

  /** A step that the registry cannot decide now is repeated. */
  function slice(): void {
    const end = performance.now() + SLICE_MS
    try {
      for (; next.done !== true && performance.now() < end && !stopped; next = steps.next()) next.value()
    } catch (error) {
      options.onDoubt(error)
      timer = setTimeout(slice, RETRY_MS)
      return
    }
    if (next.done !== true && !stopped) setImmediate(slice)
  }

  setImmediate(slice)
  return {
    stop() {
      stopped = true
      if (timer !== null) clearTimeout(timer)
    },
  }
}

/**
 * Before the first connection: deletes the stored sessions and retained messages that were to be deleted while this broker did not run, and all
 * that devices left which were deleted meanwhile: a new device may have the name of one. The epoch is that of the registry now, so that a registry that was set back does not delete the sessions of later.
 */
export async function clearSessions(
  engine: Pick<Engine, 'clearSession' | 'clearRetained' | 'purge' | 'sessionsClearedTo' | 'clearedEpoch'>,
  feed: Pick<ChangeReader, 'clearedAfter' | 'deletedAfter' | 'retainedClearedAfter'>,
  epoch: number,
): Promise<void> {
  const cleared = engine.clearedEpoch()
  for (const deviceId of feed.clearedAfter(cleared)) engine.clearSession(deviceId)
  for (const deviceId of feed.deletedAfter(cleared)) await engine.purge(deviceId)
  for (const clearing of feed.retainedClearedAfter(cleared)) engine.clearRetained(clearing)
  engine.sessionsClearedTo(epoch)
}

function* stepsOf({
  engine,
  isGone,
  onDoubt,
}: Parameters<typeof reconcileStoredState>[0]): Generator<() => void> {
  for (const deviceId of engine.leftBy())
    yield () => {
      if (isGone(deviceId)) void engine.purge(deviceId).catch(onDoubt)
      else engine.reauthorizeStoredState(deviceId)
    }
  yield* engine.restoredWills()
}
