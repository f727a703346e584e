// `rollcall sim` as a process.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Summary } from '../../device-sim/results/summary.ts'
import { createFakeServices } from './fakes/services.ts'

const program = fileURLToPath(new URL('fakes/sim-main.ts', import.meta.url))

function start(args: readonly string[]) {
  const child = spawn(process.execPath, [program, 'sim', ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  const out = { stdout: '', stderr: '' }
  child.stdout.on('data', part => {
    out.stdout += part
  })
  child.stderr.on('data', part => {
    out.stderr += part
  })
  return { child, ended: once(child, 'close').then(([code]) => ({ code: code as number, ...out })) }
}

describe('rollcall sim', () => {
  it('runs with the flags of the manual and prints one JSON object', async () => {
    await using services = await createFakeServices()
    const flags = '--devices 4 --rate 100 --interval 100ms --duration 2s --rogues -o json'
    const { code, stdout, stderr } = await start([...flags.split(' '), '--data', services.directory]).ended
    assert.equal(code, 0, stderr)
    const { groups } = JSON.parse(stdout) as Summary
    assert.deepEqual(
      groups.map(({ connects }) => connects.admitted),
      [4, 0, 0, 0, 0, 0, 0, 0, 0],
    )
  })

  it('prints words for people by default, without colours off a terminal', async () => {
    await using services = await createFakeServices()
    const { exitCode, stdout, stderr } = await services.run({ devices: '2', output: 'table' })
    assert.equal(exitCode, 0, stderr)
    assert.match(stdout, /connects +2 admitted, 0 refused, 0 failed/)
    assert.match(stdout, /verdict +passed/)
    assert.ok(!`${stdout}${stderr}`.includes('\u001b'))
  })

  it('exits 99 when a rogue gets in', async () => {
    await using services = await createFakeServices({ forgive: ['revoked'] })
    const flags = '--devices 2 --duration 2s --rogues'
    const { code, stdout } = await start([...flags.split(' '), '--data', services.directory]).ended
    assert.equal(code, 99)
    assert.match(stdout, /wrongly admitted: sim-rogue-revoked-00001 \(revoked, admitted\)/)
  })

  it('exits 2 without a target', async () => {
    const { code, stderr } = await start([]).ended
    assert.equal(code, 2)
    assert.match(stderr, /--data DIR/)
  })

  it('ends cleanly with its report on Ctrl-C', async () => {
    await using services = await createFakeServices()
    const flags = '--devices 3 --interval 50ms --duration 1h -o json'
    const { child, ended } = start([...flags.split(' '), '--data', services.directory])
    // Once only: the second Ctrl-C would end it at once.
    const interrupt = (_packet: unknown, client: unknown): void => {
      if (!client) return
      services.broker.aedes.off('publish', interrupt)
      child.kill('SIGINT')
    }
    services.broker.aedes.on('publish', interrupt)
    const { code, stdout, stderr } = await ended
    assert.equal(code, 1, stderr) // what it promised was not checked any more
    const summary = JSON.parse(stdout) as Summary
    assert.equal(summary.interrupted, true)
    assert.equal(summary.traffic.qos1.sent, summary.traffic.qos1.acknowledged)
  })
})

describe('rollcall sim run', () => {
  const scenario = (stages: string): string => `
name: short
groups:
  - name: meters
    count: 3
    publish: [{ topic: 'devices/\${device}/telemetry', every: 100ms, qos: 1 }]
stages: [${stages}]
thresholds: ['wronglyAdmitted = 0', 'connect.p99 < 1ms']
`
  const flags = (services: { directory: string }): string[] => ['--data', services.directory, '-o', 'json']

  it('prints one JSON object and exits 99 where a threshold is breached', async () => {
    await using services = await createFakeServices()
    const file = join(services.directory, 'short.yaml')
    await writeFile(file, scenario('{ kind: ramp, rate: 50, for: 2s }'))
    const { code, stdout, stderr } = await start(['run', file, ...flags(services)]).ended
    assert.equal(code, 99, stderr)
    const summary = JSON.parse(stdout) as Summary
    assert.equal(summary.connects.admitted, 3)
    assert.deepEqual(
      summary.checks.map(({ passed }) => passed),
      [true, false],
    )
  })

  it('ends cleanly with its summary on Ctrl-C, workers and all', async () => {
    await using services = await createFakeServices()
    const file = join(services.directory, 'long.yaml')
    await writeFile(file, scenario('{ kind: ramp, rate: 50 }, { kind: steady, for: 24h }'))
    const { child, ended } = start(['run', file, ...flags(services)])
    const interrupt = (_packet: unknown, client: unknown): void => {
      if (!client) return
      services.broker.aedes.off('publish', interrupt)
      child.kill('SIGINT')
    }
    services.broker.aedes.on('publish', interrupt)
    const { code, stdout, stderr } = await ended
    assert.equal(code, 1, stderr) // what it promised was not checked any more
    const summary = JSON.parse(stdout) as Summary
    assert.equal(summary.interrupted, true)
    assert.equal(summary.traffic.qos1.sent, summary.traffic.qos1.acknowledged)
  })

  it('exits 2 with the place of every fault, and contacts nobody', async () => {
    await using services = await createFakeServices()
    const file = join(services.directory, 'bad.yaml')
    await writeFile(file, scenario('{ kind: ramp, rate: fast }, { kind: calm }'))
    const { code, stderr } = await start(['run', file, ...flags(services)]).ended
    assert.equal(code, 2)
    assert.match(stderr, /bad\.yaml:7:\d+: stages\[0\]\.rate: expected/)
    assert.match(stderr, /bad\.yaml:7:\d+: stages\[1\]\.kind: expected ramp, steady, storm, pause/)
    assert.deepEqual(services.provisioning.state.calls, [])
  })

  it('exits 2 without a target, for an unknown preset, and for many devices elsewhere without --yes', async () => {
    const nowhere = await start(['run', 'smoke']).ended
    assert.deepEqual([nowhere.code, /--broker/.test(nowhere.stderr)], [2, true])
    const unknown = await start(['run', 'somke']).ended
    assert.deepEqual([unknown.code, /there are .*smoke/.test(unknown.stderr)], [2, true])
    const target = '-h broker.example.net --directory nowhere'
    const many = await start(['conn', '-c', '1001', ...target.split(' ')]).ended
    assert.deepEqual([many.code, /--yes/.test(many.stderr)], [2, true])
  })
})
