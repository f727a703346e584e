// A run's files from end to end: written in one step, also when it is interrupted, and refused before anything is sent.
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { describe, it } from 'node:test'
import { createLineFile, requireWritable } from '../../../device-sim/output/files.ts'
import type { Sample } from '../../../device-sim/results/sample.ts'
import { runScenarioFile, type ScenarioFlags } from '../../../device-sim/scenario-run.ts'
import { createFakeServices } from '../fakes/services.ts'

const scenario = (seconds: number) => `
name: files
groups: [{ name: meters, count: 2, publish: [{ topic: 'devices/\${device}/up', every: 100ms, qos: 1 }] }]
stages: [{ kind: ramp, rate: 50 }, { kind: steady, for: ${seconds}s }]
assert: [{ at: 0s, that: wronglyAdmitted = 0 }]
thresholds: ['lost = 0']
`

async function scratch() {
  const path = await mkdtemp(join(tmpdir(), 'rollcall-sim-'))
  const remove = () => rm(path, { recursive: true, force: true })
  return { at: (name: string) => join(path, name), path, [Symbol.asyncDispose]: remove }
}

async function run(file: string, flags: ScenarioFlags, signal = new AbortController().signal) {
  const streams = { stdout: new PassThrough(), stderr: new PassThrough() }
  const text = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    streams[name].setEncoding('utf8').on('data', chunk => {
      text[name] += chunk
    })
  }
  const io = { env: {}, signal, ...streams } as unknown as Parameters<typeof runScenarioFile>[2]
  return { code: await runScenarioFile(file, flags, io), ...text }
}

describe('the files of a run', () => {
  it('are written whole, and tell the same', async () => {
    await using services = await createFakeServices()
    await using files = await scratch()
    const file = files.at('scenario.yaml')
    writeFileSync(file, scenario(1))
    const flags = { json: files.at('a.json'), report: files.at('a.html'), samples: files.at('a.ndjson') }
    const { code, stdout } = await run(file, { data: services.directory, output: 'json', ...flags })
    assert.equal(code, 0)
    const summary = JSON.parse(readFileSync(flags.json, 'utf8'))
    assert.deepEqual(summary, JSON.parse(stdout))
    const lines = readFileSync(flags.samples, 'utf8').trimEnd().split('\n')
    const samples = lines.map((line): Sample => JSON.parse(line))
    const sent = samples.reduce((sum, { traffic }) => sum + traffic.qos1.sent, 0)
    assert.equal(sent, summary.traffic.qos1.sent)
    assert.match(readFileSync(flags.report, 'utf8'), /<h1>files<\/h1>/)
    assert.deepEqual(readdirSync(files.path).toSorted(), ['a.html', 'a.json', 'a.ndjson', 'scenario.yaml'])
  })

  it('are written when the run is interrupted, and say so', async () => {
    await using services = await createFakeServices()
    await using files = await scratch()
    const file = files.at('scenario.yaml')
    writeFileSync(file, scenario(3_600))
    const flags = { json: files.at('a.json'), report: files.at('a.html'), samples: files.at('a.ndjson') }
    const interruption = new AbortController()
    const ran = run(file, { data: services.directory, ...flags }, interruption.signal)
    const end = performance.now() + 60_000
    while (!existsSync(flags.samples) || !readFileSync(flags.samples, 'utf8').includes('"connected":2')) {
      assert.ok(performance.now() < end, 'nobody connected')
      await new Promise(resolve => setTimeout(resolve, 20))
    }
    interruption.abort()
    const { code, stdout } = await ran
    assert.equal(code, 1, 'what was not checked was not kept')
    assert.match(stdout, /not proven\n.*interrupted before 1 of 2 promises were checked/)
    assert.equal(JSON.parse(readFileSync(flags.json, 'utf8')).interrupted, true)
    assert.match(readFileSync(flags.report, 'utf8'), /, interrupted/)
  })

  it('that cannot be written are named before anything is sent', async () => {
    await using services = await createFakeServices()
    await using files = await scratch()
    const file = files.at('scenario.yaml')
    writeFileSync(file, scenario(1))
    mkdirSync(files.at('folder'))
    const flags = { json: files.at('none/a.json'), report: files.at('folder'), samples: files.at('a') }
    const { code, stdout, stderr } = await run(file, { data: services.directory, ...flags })
    assert.deepEqual([code, stdout], [2, ''])
    assert.match(stderr, /--json: .*none\/a\.json cannot be written \(its directory does not exist\)/)
    assert.match(stderr, /--report: .*folder cannot be written \(it is a directory\)/)
    assert.ok(!existsSync(files.at('a')), 'not one was begun')
    assert.throws(
      () => requireWritable({ '--json': files.at('a'), '--report': files.at('./a') }),
      (error: { problems?: string[] }) =>
        /--report and --json name the same file/.test(error.problems?.[0] ?? ''),
    )
  })

  it('of lines say at the end that not everything is in them', async () => {
    const file = createLineFile('/dev/full')
    file.line({ a: 1 })
    await assert.rejects(file.end(), /ENOSPC/)
    await using files = await scratch()
    const gone = createLineFile(files.at('none/a'))
    gone.line({ a: 1 })
    await assert.rejects(gone.end(), /ENOENT/)
  })
})
