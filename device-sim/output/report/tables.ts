// The tables of the report: what had to hold, refusals, messages, groups, actions, the timeline, devices wrongly admitted.
// Pure: the summary in, markup out. Every word of a run passes html`…`, which escapes it.

import { meaningOf } from '../../links/reason-codes.ts'
import type { Percentiles, Traffic } from '../../results/sample.ts'
import type { Summary } from '../../results/summary.ts'
import { clock, count, duration, eventMark, measuredText, plain } from '../figures.ts'
import { type Content, html, type Markup } from './markup.ts'

type Cell = Content | { text: Content; as: 'text' | 'wide' | 'bad' | 'text passed' | 'text bad' }

const BAR_WIDTH = 140

export function checkTable({ checks }: Summary): Markup | null {
  if (checks.length === 0) return null
  return table(
    'What had to hold',
    ['text Result', 'wide Promise', 'Measured', 'text When'],
    checks.map(({ expression, observed, passed, elapsedSeconds }) => [
      passed ? { text: '✓ kept', as: 'text passed' } : { text: '✗ breached', as: 'text bad' },
      { text: plain(expression), as: 'wide' },
      measuredText(expression, observed),
      { text: elapsedSeconds === null ? 'at the end' : `at ${clock(elapsedSeconds)}`, as: 'text' },
    ]),
  )
}

export function refusalTable({ refusals }: Summary): Markup {
  const rows = Object.entries(refusals).toSorted(
    ([, a], [, b]) => b.expected + b.unexpected - (a.expected + a.unexpected),
  )
  const most = Math.max(1, ...rows.map(([, { expected, unexpected }]) => expected + unexpected))
  return table(
    'Refusals, by what the device saw',
    ['wide Seen', 'As expected', 'Wrongly', 'text '],
    rows.map(([saw, { expected, unexpected }]) => [
      { text: plain(saw), as: 'wide' },
      count(expected),
      unexpected > 0 ? { text: count(unexpected), as: 'bad' } : '0',
      { text: bar(expected, unexpected, most), as: 'text' },
    ]),
  )
}

export function trafficTable({ traffic }: Summary): Markup {
  const columns: (keyof Traffic)[] = [
    'sent',
    'acknowledged',
    'received',
    'lost',
    'duplicated',
    'reordered',
    'missed',
    'unacknowledged',
    ...(['refused', 'altered', 'expired'] as const).filter(name =>
      Object.values(traffic).some(one => one[name] > 0),
    ),
  ]
  const fine = new Set<keyof Traffic>(['sent', 'acknowledged', 'received'])
  const rows = Object.entries(traffic).filter(([, one]) => columns.some(name => one[name] > 0))
  return table(
    'Messages',
    ['text QoS', ...columns.map(name => name)],
    rows.map(([qos, one]) => [
      { text: qos.slice(3), as: 'text' },
      ...columns.map((name): Cell => {
        if (name === 'acknowledged' && qos === 'qos0') return '–'
        return !fine.has(name) && one[name] > 0 ? { text: count(one[name]), as: 'bad' } : count(one[name])
      }),
    ]),
  )
}

export function latencyTable(summary: Summary): Markup {
  const rows: [string, Percentiles][] = [
    ['connect', summary.connects.latencyMs],
    ['acknowledge', summary.acknowledgeMs],
    ['deliver', summary.deliverMs],
    ['lateness of the simulator', summary.tool.lateMs],
  ]
  const shown = rows.filter(([, one]) => one.count > 0)
  return table(
    'Latencies of the whole run',
    ['wide From when it was due', 'Measured', 'min', 'p50', 'p90', 'p95', 'p99', 'max'],
    shown.map(([name, one]) => [
      { text: name, as: 'wide' },
      count(one.count),
      ...([one.min, one.p50, one.p90, one.p95, one.p99, one.max] as const).map(duration),
    ]),
  )
}

export function groupTable({ groups }: Summary): Markup {
  const head = ['wide Group', 'text Fault', 'text Expected', 'Devices', 'Connected at end']
  const counts = [
    'Admitted',
    'Refused',
    'Failed',
    'Wrongly admitted',
    'Wrongly refused',
    'Unproven',
    'Connect p99',
  ]
  return table(
    'Groups',
    [...head, ...counts],
    groups.map(group => [
      { text: plain(group.name), as: 'wide' },
      { text: group.fault === null ? '–' : plain(group.fault), as: 'text' },
      { text: group.expect, as: 'text' },
      count(group.count),
      count(group.population.connected),
      count(group.connects.admitted),
      count(group.connects.refused),
      count(group.connects.failed),
      bad(group.wronglyAdmitted),
      bad(group.wronglyRefused),
      bad(group.unproven),
      duration(group.connects.latencyMs.p99),
    ]),
  )
}

export function actionTable({ actions }: Summary): Markup | null {
  if (actions.length === 0) return null
  return table(
    "The operator's actions",
    [
      'text At',
      'text Action',
      'wide Group',
      'Devices',
      'Failed',
      'Cut',
      'Cut p50',
      'Cut p99',
      'Cut max',
      'Kept',
    ],
    actions.map(one => [
      { text: clock(one.elapsedSeconds), as: 'text' },
      { text: plain(one.verb), as: 'text' },
      { text: plain(one.group), as: 'wide' },
      count(one.devices),
      bad(one.failed),
      count(one.cutMs.count),
      duration(one.cutMs.p50),
      duration(one.cutMs.p99),
      duration(one.cutMs.max),
      bad(one.kept),
    ]),
  )
}

export function eventTable({ events }: Summary): Markup | null {
  if (events.length === 0) return null
  return table(
    'What happened when',
    ['text At', 'text Kind', 'wide '],
    events.map(({ elapsedSeconds, kind, text, good }) => [
      { text: clock(elapsedSeconds), as: 'text' },
      { text: kind.replace('_', ' '), as: 'text' },
      {
        text: good
          ? `${eventMark(kind, good)}${plain(text)}`
          : html`<span class="bad">${eventMark(kind, good)}${plain(text)}</span>`,
        as: 'wide',
      },
    ]),
  )
}

export function wrongTables({ wronglyAdmitted, wronglyRefused }: Summary): Markup[] {
  const tables: Markup[] = []
  if (wronglyAdmitted.count > 0) {
    tables.push(
      table(
        named('Wrongly admitted', wronglyAdmitted),
        ['text At', 'wide Device', 'wide Group', 'text How', 'wide Why it had no right'],
        wronglyAdmitted.first.map(one => [
          { text: clock(one.elapsedSeconds), as: 'text' },
          { text: plain(one.device), as: 'wide' },
          { text: plain(one.group), as: 'wide' },
          { text: one.how, as: 'text' },
          { text: plain(one.why), as: 'wide' },
        ]),
      ),
    )
  }
  if (wronglyRefused.count > 0) {
    tables.push(
      table(
        named('Wrongly refused', wronglyRefused),
        ['wide Device', 'wide Group', 'wide Saw'],
        wronglyRefused.first.map(one => [
          { text: plain(one.device), as: 'wide' },
          { text: plain(one.group), as: 'wide' },
          { text: plain(one.saw), as: 'wide' },
        ]),
      ),
    )
  }
  return tables
}

/** Failures and drops: neither proves a refusal. */
/** What each packet's Reason Codes mean is the standard's: MQTT 5 §2.4. */
export function reasonTable({ reasons }: Summary): Markup | null {
  const rows = Object.entries(reasons).toSorted(([a], [b]) => (a < b ? -1 : 1))
  if (rows.length === 0) return null
  return table(
    'Reason Codes of MQTT 5',
    ['text Packet', 'text Code', 'text Meaning', 'Times'],
    rows.map(([reason, times]) => {
      const [packet = '', code = ''] = reason.split('_')
      const name = meaningOf(packet, Number(code))
      const cells: Cell[] = [packet.toUpperCase(), code, name].map(text => ({
        text: plain(text),
        as: 'text',
      }))
      return [...cells, Number(code) >= 0x80 ? { text: count(times), as: 'bad' } : count(times)]
    }),
  )
}

export function causeTable(title: string, causes: Readonly<Record<string, number>>): Markup | null {
  const rows = Object.entries(causes).toSorted(([, a], [, b]) => b - a)
  if (rows.length === 0) return null
  return table(
    title,
    ['wide Seen', 'Times'],
    rows.map(([cause, times]) => [{ text: plain(cause), as: 'wide' }, count(times)]),
  )
}

export function limitTable({ limits }: Summary): Markup | null {
  if (limits.length === 0) return null
  return table(
    "The simulator's own limits",
    ['wide Limit', 'Seconds'],
    limits.map(({ text, seconds }) => [{ text: plain(text), as: 'wide' }, count(seconds)]),
  )
}

/** A head that begins with `text ` or `wide ` says how its column is set. */
function table(title: string, head: readonly string[], rows: readonly Cell[][]): Markup {
  const set = head.map(name => /^(text|wide) (.*)$/.exec(name) ?? ['', '', name])
  if (rows.length === 0)
    return html`<div class="card"><div class="scroll"><table><caption>${title}</caption><tbody><tr><td class="text faint">none</td></tr></tbody></table></div></div>`
  return html`<div class="card"><div class="scroll"><table><caption>${title}</caption>
<thead><tr>${set.map(([, as, name]) => html`<th class="${as ?? ''}" scope="col">${name ?? ''}</th>`)}</tr></thead>
<tbody>${rows.map(row => html`<tr>${row.map(cellOf)}</tr>\n`)}</tbody></table></div></div>`
}

function cellOf(cell: Cell): Markup {
  if (typeof cell === 'object' && cell !== null && 'as' in cell)
    return html`<td class="${cell.as}">${cell.text}</td>`
  return html`<td>${cell}</td>`
}

function bad(amount: number): Cell {
  return amount > 0 ? { text: count(amount), as: 'bad' } : '0'
}

function bar(expected: number, wrong: number, most: number): Markup {
  const width = (amount: number): string => ((amount / most) * BAR_WIDTH).toFixed(1)
  return html`<svg width="${BAR_WIDTH}" height="10" role="img" aria-label="${count(expected)} as expected, ${count(wrong)} wrongly"><rect class="fill-expected" width="${width(expected)}" height="10"/><rect class="fill-wrong" x="${width(expected)}" width="${width(wrong)}" height="10"/></svg>`
}

function named(title: string, { count: all, first }: { count: number; first: readonly unknown[] }): string {
  return all > first.length
    ? `${title}: the first ${first.length} of ${count(all)}`
    : `${title}: ${count(all)}`
}
