// One HTML file that says all about a run: opens offline, fetches nothing, runs no script but the ones inside it, which
// its content security policy names by hash. Pure but for reading its own parts and uPlot from the package.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { assetFile, uplotFile } from '../../assets.ts'
import type { Sample } from '../../results/sample.ts'
import type { Summary } from '../../results/summary.ts'
import { clock, count, duration, mebibytes, plain, protocolText, verdictWord } from '../figures.ts'
import { runtimesOf } from '../runtimes.ts'
import { type Chart, chartsOf } from './charts.ts'
import { heatMaps, waterfall } from './drawings.ts'
import { html, jsonText, type Markup, verbatim } from './markup.ts'
import * as tables from './tables.ts'

/** Marks on the time axis; the table lists the others. */
const MARKS_MAX = 200

type Parts = { css: string; uplot: string; draw: string }

/** The whole document. `points` are the run's samples, as many as are to be drawn. */
export function reportPage(summary: Summary, points: readonly Sample[]): string {
  const { css, uplot, draw } = readParts()
  const { run, verdict } = summary
  const { seconds, charts } = chartsOf(points)
  const policy = [
    "default-src 'none'",
    `script-src ${sourceOf(uplot)} ${sourceOf(draw)}`,
    `style-src ${sourceOf(css)}`,
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ')
  const stages = run.stages.map(({ name, beginsAtSeconds, endsAtSeconds }) => {
    return { name: plain(name), begins: beginsAtSeconds, ends: endsAtSeconds ?? summary.seconds }
  })
  const marks = summary.events
    .filter(({ kind }) => kind !== 'stage')
    .slice(0, MARKS_MAX)
    .map(({ elapsedSeconds, text, good }) => ({ at: elapsedSeconds, text: plain(text), good }))
  const body = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="referrer" content="no-referrer">
<title>${plain(run.name)}: ${verdictWord(verdict.exitCode)}</title>
<link rel="icon" href="data:,">
<style>${verbatim(css)}</style>
</head>
<body>
<main>
${head(summary)}
${tiles(summary)}
${sectioned(null, [tables.checkTable(summary), ...tables.wrongTables(summary), tables.limitTable(summary)])}
<div class="headed"><h2>Over time</h2><label><input type="checkbox" id="logarithmic"> logarithmic latencies</label></div>
<p class="note">${resolution(points)} Drag to zoom into all charts, double-click to see everything, click a name to hide a curve.</p>
<div class="charts">${charts.map(figure)}${waterfall(summary.connectPartsMs)}${heatMaps(points)}</div>
${uneventful(charts)}
${sectioned('In numbers', [tables.latencyTable(summary), tables.trafficTable(summary), tables.refusalTable(summary), tables.reasonTable(summary), tables.groupTable(summary), tables.actionTable(summary), tables.eventTable(summary)])}
<div class="tables pair">${[tables.causeTable('Attempts that failed and prove nothing', summary.failures), tables.causeTable('Sessions that ended by themselves', summary.drops)]}</div>
<h2>The run</h2>
${facts(summary)}
<footer>Made by rollcall ${run.tool.version}. Latencies count from the time something was due: neither a slow broker nor a busy simulator can hide.</footer>
</main>
<script type="application/json" id="run-data">${jsonText({ seconds, charts, stages, marks })}</script>
<script>${verbatim(uplot)}</script>
<script>${verbatim(draw)}</script>
</body>
</html>
`
  return body.markup
}

function head({ run, verdict, interrupted, population, seconds }: Summary): Markup {
  const breaches = verdict.breaches.map(breach => html`<li>${plain(breach)}</li>`)
  return html`<header><div><h1>${plain(run.name)}</h1>
${run.description !== '' && html`<p>${plain(run.description)}</p>`}
<p class="faint">${count(population.total)} devices against ${plain(run.broker)} for ${clock(seconds)}, started ${run.startedAt.replace('T', ' ').replace(/\.\d+Z$/, ' UTC')}${interrupted ? ', interrupted' : ''}</p></div>
<div class="verdict ${verdict.passed ? 'passed' : 'failed'}">${verdict.passed ? '✓' : '✗'} ${verdictWord(verdict.exitCode)}</div></header>
${breaches.length > 0 && html`<ul class="breaches">${breaches}</ul>`}`
}

function tiles(summary: Summary): Markup {
  const { wronglyAdmitted, wronglyRefused, population, traffic, connects, acknowledgeMs, deliverMs } = summary
  const all = Object.values(traffic)
  const sum = (of: 'sent' | 'received' | 'lost'): number => all.reduce((total, one) => total + one[of], 0)
  const tile = (label: string, value: string, wrong = false): Markup =>
    html`<div class="tile ${wrong ? 'bad' : ''}"><span>${label}</span><b>${value}</b></div>`
  return html`<div class="tiles">${[
    tile('wrongly admitted', count(wronglyAdmitted.count), wronglyAdmitted.count > 0),
    tile('wrongly refused', count(wronglyRefused.count), wronglyRefused.count > 0),
    tile('messages lost', count(sum('lost')), sum('lost') > 0),
    tile('connected at end', `${count(population.connected)} / ${count(population.total)}`),
    tile('refused', count(connects.refused)),
    tile('messages sent', count(sum('sent'))),
    tile('messages received', count(sum('received'))),
    tile('connect p99', duration(connects.latencyMs.p99)),
    tile('acknowledge p99', duration(acknowledgeMs.p99)),
    tile('deliver p99', duration(deliverMs.p99)),
  ]}</div>`
}

function figure({ title, note, curves }: Chart, index: number): Markup | null {
  if (curves.length === 0) return null
  return html`<figure class="card" id="chart-${index}"><h3>${title}</h3><p class="note" data-note="${note}">${note}</p><div class="plot" data-index="${index}"></div></figure>\n`
}

function uneventful(charts: readonly Chart[]): Markup | null {
  const titles = charts.filter(({ curves }) => curves.length === 0).map(({ title }) => title)
  return titles.length > 0 ? html`<p class="note">Nothing to draw for: ${titles.join(' · ')}.</p>` : null
}

function resolution(points: readonly Sample[]): string {
  const longest = Math.round(Math.max(1, ...points.map(point => point.seconds)))
  if (longest <= 1) return 'A point is a second.'
  return `A point is up to ${longest} seconds: rates are their mean, latencies the highest of any second, sessions the fewest.`
}

function facts({ run, enrollment, tool, watched, subscriptions, answered }: Summary): Markup {
  const rows: [string, string][] = [
    ['Scenario', `${plain(run.source)}, seed ${run.seed}`],
    ['Stages', run.stages.map(({ name, kind }) => `${plain(name)} (${kind})`).join(' → ')],
    [
      'Keys and links',
      [
        ...new Set(
          run.groups.map(
            ({ keyType, link, protocol }) => `${keyType} over ${link}, ${protocolText(protocol)}`,
          ),
        ),
      ].join('; '),
    ],
    [
      'Enrollment',
      enrollment
        ? `${count(enrollment.enrolled)} enrolled, ${count(enrollment.reused)} used again, in ${clock(enrollment.seconds)}`
        : 'identities from files',
    ],
    ...(enrollment?.tpms ? ([['TPMs', plain(enrollment.tpms)]] as [string, string][]) : []),
    ['Subscriptions', `${count(subscriptions.granted)} granted, ${count(subscriptions.refused)} refused`],
    ['Commands answered', count(answered)],
    [
      'Simulator',
      `rollcall ${run.tool.version}, Node ${run.tool.node}, ${run.tool.platform}, ${run.tool.cpus} CPUs, ${mebibytes(run.tool.memoryBytes)}`,
    ],
    [
      'Processes',
      `${run.workers}, ${runtimesOf(run).map(plain).join(' and ')}${run.sources.length > 0 ? `, from ${run.sources.map(plain).join(', ')}` : ''}`,
    ],
    ...(run.agents ?? []).map(({ name, workers, cpus, node, clockErrorMs }): [string, string] => [
      'Agent',
      `${plain(name)}: ${workers} processes, ${cpus} CPUs, Node ${plain(node)}, clock known to ${duration(clockErrorMs)}`,
    ]),
    [
      'Cost',
      `${tool.cpuSeconds.toFixed(1)} s CPU${tool.cpuMicrosPerMessage === null ? '' : `, ${tool.cpuMicrosPerMessage.toFixed(1)} µs a message`}, at most ${mebibytes(tool.rssMaxBytes)}`,
    ],
    ...(watched
      ? [
          [
            'Watched',
            `process ${watched.pids.join(', ')}: ${watched.cpuSeconds.toFixed(1)} s CPU${watched.cpuMicrosPerMessage === null ? '' : `, ${watched.cpuMicrosPerMessage.toFixed(1)} µs a message`}, at most ${mebibytes(watched.rssMaxBytes)}`,
          ] satisfies [string, string],
        ]
      : []),
    ['Run', run.runId],
  ]
  return html`<div class="card"><dl>${rows.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl></div>`
}

function sectioned(title: string | null, parts: (Markup | null)[]): Markup | null {
  const shown = parts.filter(part => part !== null)
  if (shown.length === 0) return null
  return html`<h2>${title ?? 'Results'}</h2><div class="tables">${shown}</div>`
}

function sourceOf(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`
}

function readParts(): Parts {
  const read = (file: string): string => readFileSync(file, 'utf8')
  const own = (name: string): string => read(assetFile(`output/report/${name}`))
  const licence = read(uplotFile('../LICENSE'))
  return {
    css: `${read(uplotFile('uPlot.min.css'))}\n${own('page.css')}`,
    uplot: `/*\n${licence}*/\n${read(uplotFile('uPlot.iife.min.js'))}`,
    draw: own('draw.js'),
  }
}
