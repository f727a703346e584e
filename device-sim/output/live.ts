// What a person sees on stderr while a scenario runs: a view that is drawn anew each second on a terminal, and off it
// a line every few seconds. Events stay. Does not know how anything was measured.
import { styleText } from 'node:util'
import type { RunListener } from '../results/run-listeners.ts'
import type { RunEvent, RunFacts } from '../results/summary.ts'
import { eventMark, plain } from './figures.ts'
import { firstState, frameOf, type LiveState, lineOf, nextState } from './live-frame.ts'

type LiveView = RunListener & {
  /** Takes the view away; what stays are the events. */
  end(): void
}

const LINE_EVERY_MS = 5_000
const STEP_EVERY_MS = { terminal: 100, lines: 2_000 }
const COLUMNS_WHERE_UNKNOWN = 80

export async function createLiveView(
  stream: NodeJS.WriteStream,
  environment = process.env,
): Promise<LiveView> {
  // A terminal that claims to have no rows would show nothing.
  const terminal = stream.isTTY === true && stream.rows > 3 && environment['TERM'] !== 'dumb'
  const draw = terminal ? (await import('log-update')).createLogUpdate(stream) : null
  let facts: RunFacts | null = null
  let state: LiveState | null = null
  let finished = ''
  let shownAt = Number.NEGATIVE_INFINITY

  function due(everyMs: number): boolean {
    if (performance.now() - shownAt < everyMs) return false
    shownAt = performance.now()
    return true
  }

  function stay(text: string): void {
    if (draw) draw.persist(text)
    else stream.write(`${text}\n`)
  }

  function show(): void {
    if (!draw || !state) return
    // The last column stays free: some terminals wrap when it is written to.
    const columns = Math.max(20, (stream.columns || COLUMNS_WHERE_UNKNOWN) - 1)
    const lines = frameOf(state, columns).map(line =>
      line.map(({ text, style }) => (style ? styleText(style, text, { stream }) : text)).join(''),
    )
    draw(lines.join('\n'))
  }

  return {
    step(what, done, total) {
      if (done === total && finished === what) return
      finished = done === total ? what : ''
      if (done < total && !due(draw ? STEP_EVERY_MS.terminal : STEP_EVERY_MS.lines)) return
      if (!draw) stream.write(`${what} ${done}/${total}\n`)
      else if (done < total) draw(`${what} ${done}/${total}`)
      else stay(`${what} ${done}/${total}`)
    },
    started(known) {
      facts = known
      const devices = known.groups.reduce((sum, group) => sum + group.count, 0)
      stay(`${plain(known.name)}: ${devices} devices against ${plain(known.broker)}, seed ${known.seed}`)
    },
    event(event) {
      stay(eventLine(event, stream))
      show()
    },
    sample(sample) {
      if (!facts) return
      state = state ? nextState(state, sample) : firstState(facts, sample)
      if (draw) show()
      else if (due(LINE_EVERY_MS)) stream.write(`${lineOf(state)}\n`)
    },
    end() {
      if (!draw) return
      draw.clear()
      draw.done()
    },
  }
}

function eventLine({ elapsedSeconds, kind, text, good }: RunEvent, stream: NodeJS.WriteStream): string {
  const time = `${elapsedSeconds.toFixed(1).padStart(7)} s`
  const mark = eventMark(kind, good)
  const words = `${mark}${kind === 'stage' ? 'stage ' : ''}${plain(text)}`
  if (mark === '') return `${time}  ${words}`
  return `${time}  ${styleText(good ? 'yellow' : 'red', words, { stream })}`
}
