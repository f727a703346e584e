// `rollcall sim` as a process.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Report } from '../../device-sim/index.ts'
import { createWorld } from './fakes/world.ts'

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
    await using world = await createWorld()
    const flags = '--devices 4 --rate 100 --interval 100ms --duration 300ms --rogues -o json'
    const { code, stdout, stderr } = await start([...flags.split(' '), '--data', world.directory]).ended
    assert.equal(code, 0, stderr)
    const report = JSON.parse(stdout) as Report
    assert.equal(report.connects.admitted, 4)
    assert.equal(report.rogues?.refused, 8)
  })

  it('prints words for people by default, without colours off a terminal', async () => {
    await using world = await createWorld()
    const flags = '--devices 2 --interval 100ms --duration 200ms'
    const { code, stdout, stderr } = await start([...flags.split(' '), '--data', world.directory]).ended
    assert.equal(code, 0, stderr)
    assert.match(stdout, /connects +2 admitted, of 2 attempts/)
    assert.match(stdout, /verdict +passed/)
    assert.ok(!`${stdout}${stderr}`.includes('\u001b'))
  })

  it('exits 99 when a rogue gets in', async () => {
    await using world = await createWorld({ forgive: ['revoked'] })
    const flags = '--devices 2 --duration 100ms --rogues'
    const { code, stdout } = await start([...flags.split(' '), '--data', world.directory]).ended
    assert.equal(code, 99)
    assert.match(stdout, /ADMITTED +revoked/)
    assert.match(stdout, /rogue revoked as client sim-rogue-revoked-1 was let in/)
  })

  it('exits 2 without a target', async () => {
    const { code, stderr } = await start([]).ended
    assert.equal(code, 2)
    assert.match(stderr, /--data DIR/)
  })

  it('ends cleanly with its report on Ctrl-C', async () => {
    await using world = await createWorld()
    const flags = '--devices 3 --interval 50ms --duration 1h -o json'
    const { child, ended } = start([...flags.split(' '), '--data', world.directory])
    // Once only: the second Ctrl-C would end it at once.
    const interrupt = (_packet: unknown, client: unknown): void => {
      if (!client) return
      world.broker.aedes.off('publish', interrupt)
      child.kill('SIGINT')
    }
    world.broker.aedes.on('publish', interrupt)
    const { code, stdout, stderr } = await ended
    assert.equal(code, 0, stderr)
    const report = JSON.parse(stdout) as Report
    assert.equal(report.interrupted, true)
    assert.equal(report.messages.published, report.messages.acknowledged)
  })
})
