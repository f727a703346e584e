// Streams of events: each stream has a position in the log and is sent the events that follow it.
// What a slow reader has not taken is not kept for it in memory; one that takes nothing is cut.
import type { Event, EventReader } from '../../db/events/event-reader.ts'

export type EventStreamOptions = {
  /** The caller: each has a bounded number of streams. */
  caller: string
  position: number
  passes(event: Event): boolean
  /** Writes a piece of text; `pending` says how many bytes wait to be taken. */
  write(text: string): void
  pending(): number
  /** Everything written is sent first. */
  end(): void
  /** For a caller that takes nothing, or may not see it any more. */
  cut(): void
  /** Asked every second. */
  isStillIn(): boolean
}
export type EventStreams = {
  /** False where there are too many already, of this caller or of all. */
  add(stream: EventStreamOptions): boolean
  remove(stream: EventStreamOptions): void
  /** Ends all, and takes no more. */
  close(): void
}

const STREAMS_MAX = 100
const STREAMS_PER_CALLER_MAX = 10
const LOOK_EVERY_MS = 100
const ASK_EVERY_MS = 1_000
const HEARTBEAT_MS = 15_000
const STALLED_MS = 30_000
const ROWS_AT_ONCE = 500
/** In one look, of all streams that are behind: a request for old events makes no other wait. */
const ROWS_PER_LOOK = 2_000
const PENDING_BYTES_MAX = 64 * 1024

type State = { movedAt: number; spokeAt: number; pendingBefore: number }

export function createEventStreams(parts: {
  reader: EventReader
  textOf(event: Event): string
  onCount(open: number): void
  /** How long somebody may take nothing; 30 s where it is not said. */
  stalledMs?: number
}): EventStreams {
  const { reader } = parts
  const streams = new Map<EventStreamOptions, State>()
  /** Those that have not been given all there is. */
  const lags = new WeakSet<EventStreamOptions>()
  let isClosed = false
  let timer: NodeJS.Timeout | null = null
  let askedAt = 0
  let seen: number | null = null
  /** Of the last look: most streams stand at the same position. */
  let batch: { position: number; events: Event[] } | null = null

  function look(): void {
    const version = reader.dataVersion()
    const isNew = version !== seen
    seen = version
    batch = null
    const at = performance.now()
    const asks = at - askedAt >= ASK_EVERY_MS
    if (asks) askedAt = at
    const behind: [EventStreamOptions, State][] = []
    for (const [stream, state] of streams) {
      if ((asks && !isWelcome(stream)) || isStalled(stream, state, at)) {
        remove(stream)
        stream.cut()
      } else if (lags.has(stream)) behind.push([stream, state])
      else serve(stream, state, isNew, at)
    }
    let left = ROWS_PER_LOOK
    for (const [stream, state] of behind) {
      if (left <= 0) return
      left -= serve(stream, state, true, at)
      // Others go before it next time.
      if (streams.delete(stream)) streams.set(stream, state)
    }
  }

  function isWelcome(stream: EventStreamOptions): boolean {
    try {
      return stream.isStillIn()
    } catch {
      return false // nobody can say: fail closed
    }
  }

  function isStalled(stream: EventStreamOptions, state: State, at: number): boolean {
    const pending = stream.pending()
    if (pending === 0 || pending < state.pendingBefore) state.movedAt = at
    state.pendingBefore = pending
    return at - state.movedAt > (parts.stalledMs ?? STALLED_MS)
  }

  /** Gives how many rows that took. */
  function serve(stream: EventStreamOptions, state: State, isNew: boolean, at: number): number {
    let text = ''
    let rows = 0
    if (isNew && stream.pending() < PENDING_BYTES_MAX) {
      const events = eventsAfter(stream.position)
      rows = events.length
      for (const event of events) text += textFor(stream, event)
      stream.position = events.at(-1)?.seq ?? stream.position
      if (events.length === ROWS_AT_ONCE) lags.add(stream)
      else lags.delete(stream)
    } else if (isNew) lags.add(stream)
    if (text === '' && at - state.spokeAt >= HEARTBEAT_MS) text = ': still here\n\n'
    if (text === '') return rows
    state.spokeAt = at
    stream.write(text)
    return rows
  }

  /** Nothing of an event that cannot be told: the stream goes on behind it. */
  function textFor(stream: EventStreamOptions, event: Event): string {
    try {
      return stream.passes(event) ? parts.textOf(event) : ''
    } catch {
      return ''
    }
  }

  function eventsAfter(position: number): Event[] {
    if (batch?.position !== position) batch = { position, events: reader.after(position, ROWS_AT_ONCE) }
    return batch.events
  }

  function remove(stream: EventStreamOptions): void {
    if (!streams.delete(stream)) return
    parts.onCount(streams.size)
    if (streams.size > 0 || timer === null) return
    clearInterval(timer)
    timer = null
  }

  return {
    add(stream) {
      const own = [...streams.keys()].filter(({ caller }) => caller === stream.caller).length
      if (isClosed || streams.size >= STREAMS_MAX || own >= STREAMS_PER_CALLER_MAX) return false
      const at = performance.now()
      streams.set(stream, { movedAt: at, spokeAt: at, pendingBefore: 0 })
      if (stream.position < reader.latestSeq()) lags.add(stream)
      parts.onCount(streams.size)
      timer ??= setInterval(look, LOOK_EVERY_MS)
      return true
    },
    remove,
    close() {
      isClosed = true
      for (const stream of streams.keys()) {
        remove(stream)
        stream.end()
      }
    },
  }
}
