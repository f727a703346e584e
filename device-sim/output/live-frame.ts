// One frame of the live view, as lines no wider than the terminal.
// Pure: facts and samples in, pieces of text with a style out. Does not know terminals and clocks.
import type { Percentiles, Refusals, Sample, Traffic } from '../results/sample.ts'
import type { RunFacts } from '../results/summary.ts'
import { addUp } from '../results/tick.ts'
import { clock, count, duration, mebibytes, plain, rate } from './figures.ts'

type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan'
export type Piece = { text: string; style?: Style }

/** The latest second, and what has added up since the start. */
export type LiveState = {
  facts: RunFacts
  sample: Sample
  refusals: Refusals
  drops: Record<string, number>
  wronglyAdmitted: number
  wronglyRefused: number
  /** The latest second in which anything was measured. */
  latest: Record<'connect' | 'acknowledge' | 'deliver', Percentiles | null>
}

const BAR_CELLS = 40
const LABEL_CELLS = 13
const NAMED_MAX = 4

export function firstState(facts: RunFacts, sample: Sample): LiveState {
  const nothing = { connect: null, acknowledge: null, deliver: null }
  const state = { refusals: {}, drops: {}, wronglyAdmitted: 0, wronglyRefused: 0, latest: nothing }
  return nextState({ facts, sample, ...state }, sample)
}

export function nextState(state: LiveState, sample: Sample): LiveState {
  const { connect, acknowledge, deliver } = state.latest
  return {
    facts: state.facts,
    sample,
    refusals: addUp(state.refusals, sample.refusals),
    drops: addUp(state.drops, sample.drops),
    wronglyAdmitted: state.wronglyAdmitted + sample.wronglyAdmitted,
    wronglyRefused: state.wronglyRefused + sample.wronglyRefused,
    latest: {
      connect: measured(sample.connects.latencyMs) ?? connect,
      acknowledge: measured(sample.acknowledgeMs) ?? acknowledge,
      deliver: measured(sample.deliverMs) ?? deliver,
    },
  }
}

/** The most important line is the last: where a terminal is too low, the first ones go. */
export function frameOf(state: LiveState, columns: number): Piece[][] {
  const { facts, sample, latest } = state
  const { population, connects, traffic, tool } = sample
  const perSecond = (amount: number): string => `${rate(amount / sample.seconds)}/s`
  const lines: Piece[][] = [
    heading(facts, sample),
    progress(facts, sample, columns),
    labelled('sessions', [
      { text: count(population.connected), style: 'bold' },
      { text: ` of ${count(population.total)} connected` },
      ...(['connecting', 'waiting', 'asleep', 'idle'] as const)
        .filter(state => population[state] > 0)
        .map((state): Piece => ({ text: ` · ${count(population[state])} ${state}`, style: 'dim' })),
    ]),
    labelled('connects', [
      { text: `${perSecond(connects.admitted)} admitted · ${perSecond(connects.refused)} refused · ` },
      { text: `${perSecond(connects.failed)} failed`, ...(connects.failed > 0 ? { style: 'yellow' } : {}) },
    ]),
  ]
  for (const [qos, one] of Object.entries(traffic)) {
    if (one.sent + one.received + one.missed > 0) lines.push(labelled(qos, messages(one, perSecond)))
  }
  lines.push(
    labelled('latency', [{ text: latencyColumns.map(name => name.padStart(9)).join(''), style: 'dim' }]),
  )
  for (const [name, one] of Object.entries(latest)) {
    if (one)
      lines.push(
        labelled(`  ${name}`, [{ text: latencyColumns.map(at => duration(one[at]).padStart(9)).join('') }]),
      )
  }
  if (Object.keys(state.refusals).length > 0) lines.push(labelled('refusals', refusals(state.refusals)))
  if (Object.keys(state.drops).length > 0) lines.push(labelled('drops', [{ text: byCount(state.drops) }]))
  const busy = tool.cpuBusiest > 0.9 || (tool.lateMs.p99 ?? 0) > 50
  const load = `${Math.round(tool.cpuBusiest * 100)} % of a CPU · ${mebibytes(tool.rssBytes)} · late p99 ${duration(tool.lateMs.p99)}`
  lines.push(labelled('simulator', [{ text: load, style: busy ? 'yellow' : 'dim' }]))
  lines.push(
    labelled('wrongly', [
      grave(`${count(state.wronglyAdmitted)} admitted`, state.wronglyAdmitted),
      { text: ' · ' },
      grave(`${count(state.wronglyRefused)} refused`, state.wronglyRefused),
    ]),
  )
  return lines.map(line => fitted(line, columns))
}

/** One line that says the same in short, for logs. */
export function lineOf(state: LiveState): string {
  const { elapsedSeconds, seconds, stage, population, connects, traffic, acknowledgeMs } = state.sample
  const sent = traffic.qos0.sent + traffic.qos1.sent + traffic.qos2.sent
  const parts = [
    `${population.connected}/${population.total} connected`,
    `${connects.admitted} admitted, ${connects.refused} refused, ${connects.failed} failed`,
    `${rate(sent / seconds)} sent/s`,
  ]
  if (acknowledgeMs.p99 !== null) parts.push(`acknowledge p99 ${duration(acknowledgeMs.p99)}`)
  if (state.wronglyAdmitted > 0) parts.push(`${state.wronglyAdmitted} WRONGLY ADMITTED`)
  if (state.wronglyRefused > 0) parts.push(`${state.wronglyRefused} WRONGLY REFUSED`)
  return `${elapsedSeconds.toFixed(1).padStart(7)} s  ${plain(stage)} · ${parts.join(' · ')}`
}

const latencyColumns = ['p50', 'p95', 'p99', 'max'] as const

function heading(facts: RunFacts, { population, elapsedSeconds }: Sample): Piece[] {
  const ends = facts.stages.at(-1)?.endsAtSeconds ?? null
  const time = ends === null ? clock(elapsedSeconds) : `${clock(elapsedSeconds)} of ${clock(ends)}`
  return [
    { text: plain(facts.name), style: 'bold' },
    { text: ` · ${time} · ${count(population.total)} devices against ${plain(facts.broker)}` },
  ]
}

function progress(facts: RunFacts, { elapsedSeconds, stage }: Sample, columns: number): Piece[] {
  const ends = facts.stages.at(-1)?.endsAtSeconds ?? null
  const number = facts.stages.findIndex(one => one.name === stage) + 1
  const words = ` ${plain(stage)} ${number > 0 ? `(stage ${number} of ${facts.stages.length})` : ''}`
  if (!ends) return [{ text: words.trim() }]
  const cells = Math.max(4, Math.min(BAR_CELLS, columns - words.length))
  const full = Math.round(Math.min(1, elapsedSeconds / ends) * cells)
  return [
    { text: '━'.repeat(full), style: 'cyan' },
    { text: '━'.repeat(cells - full), style: 'dim' },
    { text: words },
  ]
}

function labelled(label: string, pieces: Piece[]): Piece[] {
  return [{ text: label.padEnd(LABEL_CELLS), style: 'dim' }, ...pieces]
}

const troubleNames = [
  'unacknowledged',
  'refused',
  'missed',
  'duplicated',
  'reordered',
  'altered',
  'expired',
] as const

function messages(traffic: Traffic, perSecond: (amount: number) => string): Piece[] {
  const troubles = troubleNames.filter(name => traffic[name] > 0)
  return [
    { text: `${perSecond(traffic.sent)} sent · ${perSecond(traffic.received)} received` },
    ...troubles.map((name): Piece => ({ text: ` · ${perSecond(traffic[name])} ${name}`, style: 'yellow' })),
  ]
}

function refusals(all: Refusals): Piece[] {
  const reasons = Object.entries(all)
    .map(([saw, { expected, unexpected }]) => ({ saw, expected, unexpected }))
    .toSorted((a, b) => b.unexpected - a.unexpected || b.expected - a.expected)
  const shown = reasons
    .slice(0, NAMED_MAX)
    .flatMap(({ saw, expected, unexpected }, index): Piece[] => [
      { text: `${index > 0 ? ' · ' : ''}${plain(saw)} ${count(expected)}` },
      ...(unexpected > 0 ? [{ text: ` and ${count(unexpected)} wrongly`, style: 'red' } as const] : []),
    ])
  return reasons.length > NAMED_MAX ? [...shown, { text: ` and ${reasons.length - NAMED_MAX} more` }] : shown
}

function byCount(all: Record<string, number>): string {
  const most = Object.entries(all).toSorted(([, a], [, b]) => b - a)
  const rest = most.length > NAMED_MAX ? ` and ${most.length - NAMED_MAX} more` : ''
  return `${most
    .slice(0, NAMED_MAX)
    .map(([name, times]) => `${plain(name)} ${count(times)}`)
    .join(' · ')}${rest}`
}

function grave(text: string, amount: number): Piece {
  return { text, style: amount > 0 ? 'red' : 'green' }
}

function measured(percentiles: Percentiles): Percentiles | null {
  return percentiles.count > 0 ? percentiles : null
}

function fitted(line: Piece[], columns: number): Piece[] {
  let left = columns
  const kept: Piece[] = []
  for (const piece of line) {
    if (cellsOf(piece.text) <= left) {
      kept.push(piece)
      left -= cellsOf(piece.text)
      continue
    }
    let text = ''
    for (const character of piece.text) {
      if (cellsOf(text + character) > left - 1) break
      text += character
    }
    kept.push({ ...piece, text: left > 0 ? `${text}…` : '' })
    break
  }
  return kept
}

/** Counts rather too much than too little: nothing from the Hangul block on is taken for narrow but our own signs. */
export function cellsOf(text: string): number {
  let cells = 0
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0
    cells += code < 0x1100 || /[–…━·✗✓]/.test(character) ? 1 : 2
  }
  return cells
}
