// Dashboard and alerts against the real thing: every metric, label and value they name is in a scrape of a running system,
// every alert has its chapter and fires where it should.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { parse } from 'yaml'
import { repository, temporaryDirectory, until } from '../cli/running.ts'
import { enroll } from '../e2e/devices.ts'
import { anyPorts, startSystem } from '../e2e/system.ts'
import { type Exposition, familyOf, readExposition } from '../harness/exposition.ts'
import { readPromql, type Selector } from '../harness/promql.ts'

type Target = { expr: string; legendFormat: string }
type Panel = {
  title: string
  type: string
  targets?: Target[]
  gridPos: Record<'x' | 'y' | 'w' | 'h', number>
}
type Alert = {
  alert: string
  expr: string
  labels: { severity: string }
  annotations: Record<string, string>
}

const read = (path: string) => readFileSync(join(repository, path), 'utf8')
const dashboard = JSON.parse(read('deploy/grafana/dashboard.json')) as {
  panels: Panel[]
  templating: { list: { name: string; definition?: string }[] }
}
const alerts = parse(read('deploy/prometheus/alerts.yml')).groups.flatMap(
  ({ rules }: { rules: Alert[] }) => rules,
) as Alert[]
const expressions = dashboard.panels.flatMap(({ targets = [] }) => targets)

/** What Prometheus adds, and what it knows of itself. */
const scrapeLabels = ['job', 'instance']

/** What a selector names that a scrape does not have. */
function faultsOf({ metric, matchers }: Selector, { families, samples }: Exposition): string[] {
  if (metric === 'up') return []
  const family = familyOf(metric, families)
  if (!families.has(family)) return [`no metric ${metric}`]
  const series = samples.filter(({ name }) => name === metric)
  if (series.length === 0) return [`no sample of ${metric}`]
  return matchers.flatMap(({ label, operator, value }) => {
    if (scrapeLabels.includes(label)) return []
    const values = series.map(({ labels }) => labels[label])
    if (values.every(known => known === undefined)) return [`${metric} has no label ${label}`]
    return operator === '=' && !values.includes(value) ? [`${metric} never has ${label}="${value}"`] : []
  })
}

/** Labels that are grouped by or shown, and that no selector of the expression has. */
function unknownLabels(text: string, shown: string, { samples }: Exposition): string[] {
  const { selectors, grouping } = readPromql(text)
  const known = new Set(
    samples
      .filter(({ name }) => selectors.some(({ metric }) => metric === name))
      .flatMap(({ labels }) => Object.keys(labels)),
  )
  const asked = [
    ...grouping,
    ...[...shown.matchAll(/\{\{ ?(?:\$labels\.)?([a-z_]+) ?\}\}/g)].map(found => found[1]!),
  ]
  return asked.filter(label => !known.has(label) && !scrapeLabels.includes(label))
}

const filledIn = (expr: string) => expr.replaceAll('$__rate_interval', '5m')

describe('dashboard and alerts', () => {
  let scrape: Exposition
  let folder: ReturnType<typeof temporaryDirectory>

  before(async () => {
    folder = temporaryDirectory()
    await using system = await startSystem(folder.path, { flags: [...anyPorts, '--gates', '1'] })
    await enroll(system.api, folder.path, 'd1')
    const rows = join(folder.path, 'rows.ndjson')
    writeFileSync(rows, '{"id":"d2"}\n')
    assert.equal((await system.run('device', 'import', rows)).code, 0)
    writeFileSync(join(folder.path, 'wrong.token'), 'rct_wrong')
    const wrong = await system.run('device', 'list', '--token-file', join(folder.path, 'wrong.token'))
    assert.equal(wrong.code, 1)
    const gate = 'rollcall_process_cpu_seconds_total{process="gate-1"}'
    await until(async () => (await system.metric(gate)) > 0, 'the gate has told its figures')
    scrape = readExposition((await system.admin('/metrics')).text)
  })
  after(() => folder[Symbol.dispose]())

  it('ask for metrics, labels and values that there are', () => {
    assert.ok(expressions.length > 60 && alerts.length > 25)
    for (const expr of [...expressions, ...alerts].map(({ expr }) => filledIn(expr)))
      for (const selector of readPromql(expr).selectors)
        assert.deepEqual(faultsOf(selector, scrape), [], expr)
  })

  it('group by and show labels that there are', () => {
    for (const { expr, legendFormat } of expressions)
      assert.deepEqual(unknownLabels(filledIn(expr), legendFormat, scrape), [], expr)
    for (const { expr, annotations } of alerts)
      assert.deepEqual(unknownLabels(expr, Object.values(annotations).join(), scrape), [], expr)
  })

  it('are told what they name wrongly', () => {
    for (const [expr, fault] of [
      ['rollcall_session', /no metric rollcall_session$/],
      ['rollcall_refusals_total{why="x"}', /no label why/],
      ['rollcall_refusals_total{reason="bad_day"}', /never has/],
      ['rollcall_handshake_seconds', /no sample/],
    ] as const)
      assert.match(faultsOf(readPromql(expr).selectors[0]!, scrape).join(), fault)
    assert.deepEqual(unknownLabels('sum by (device) (rollcall_sessions)', '{{ reason }}', scrape), [
      'device',
      'reason',
    ])
    assert.throws(() => readPromql('sum(rollcall_sessions'))
  })
})

describe('deploy/grafana/dashboard.json', () => {
  it('lays its panels out without overlap, each with a title of its own in its row', () => {
    const cells = new Set<string>()
    for (const { title, gridPos } of dashboard.panels) {
      assert.ok(title !== '' && gridPos.x + gridPos.w <= 24)
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1)
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
          assert.ok(!cells.has(`${x} ${y}`), title)
          cells.add(`${x} ${y}`)
        }
    }
  })

  it('asks only of its own variables', () => {
    const names = new Set(dashboard.templating.list.map(({ name }) => name))
    const asked = JSON.stringify(dashboard).matchAll(/\$\{?([a-z]\w*)/g)
    for (const [, name = ''] of asked) assert.ok(names.has(name), name)
  })
})

describe('deploy/prometheus/alerts.yml', () => {
  const chapters = [...read('docs/metrics.md').matchAll(/^### (Rollcall\w+)$/gm)].map(found => found[1]!)

  it('names for each alert its severity, and the chapter that says what to do', () => {
    for (const { alert, labels, annotations } of alerts) {
      assert.match(labels.severity, /^(critical|warning)$/, alert)
      assert.ok(annotations['summary'] && annotations['description'], alert)
      assert.equal(annotations['runbook'], `docs/metrics.md#${alert.toLowerCase()}`)
    }
    assert.deepEqual(chapters.sort(), alerts.map(({ alert }) => alert).sort())
  })

  it('has each alert fire in its own test, and none where nothing is wrong', () => {
    const tests = parse(read('deploy/prometheus/alerts-test.yml')).tests as { name: string }[]
    assert.deepEqual(
      tests.map(({ name }) => name).sort(),
      [...alerts.map(({ alert }) => alert), 'nothing is wrong'].sort(),
    )
    for (const args of [
      ['check', 'config', 'deploy/prometheus/prometheus.yml'],
      ['test', 'rules', 'deploy/prometheus/alerts-test.yml'],
    ]) {
      const { status, stdout, stderr } = spawnSync('promtool', args, { cwd: repository, encoding: 'utf8' })
      assert.equal(status, 0, stdout + stderr)
    }
  })
})
