// A simulated run over two agents on machines of their own: one far away whose clock is an hour ahead, and one whose link goes down.
import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { promisify } from 'node:util'
import { length } from './length.ts'

const script = join(import.meta.dirname, 'agents-in-namespaces.ts')
const allowed = spawnSync('unshare', ['-rn', 'unshare', '-n', 'ip', 'link', 'set', 'lo', 'up']).status === 0
const skip = allowed ? false : 'this user may not make a network namespace'

type Result = {
  agents: number[]
  connected: number
  traffic: { sent: number; acknowledged: number; received: number; lost: number; duplicated: number }
  deliverMs: [min: number | null, max: number | null]
  breaches: string[]
  exitCode: number
  noticedMs: number
}

async function over(kind: string): Promise<Result> {
  const { stdout } = await promisify(execFile)('unshare', ['-rn', process.execPath, script, kind], {
    timeout: 180_000,
  })
  return JSON.parse(stdout) as Result
}

describe('a simulated run over agents', { skip }, () => {
  it('is one run by one clock, whatever the way to an agent and its clock', async t => {
    const { agents, connected, traffic, deliverMs, breaches } = await over('whole')
    const { sent, acknowledged, received, lost, duplicated } = traffic
    t.diagnostic(
      `clocks known to ± ${agents.join(' and ')} ms; deliveries from ${deliverMs[0]} to ${deliverMs[1]} ms`,
    )
    assert.deepEqual([connected, breaches], [20, []])
    assert.deepEqual([acknowledged, lost, duplicated], [sent, 0, 0])
    assert.ok(received > sent * 10, 'devices of one machine get messages of the other')
    // The way takes 40 ms at least, to and fro.
    const [near = 0, far = 0] = agents
    assert.ok(near > 0 && far >= 20 && far < 60_000, `± ${near} and ${far} ms`)
    assert.ok((deliverMs[0] ?? -1) >= 0 && (deliverMs[1] ?? Number.POSITIVE_INFINITY) < 60_000)
  })

  const briefly = length(0, 1) === 0
  it('goes on without the agent whose link went down, and says so', { skip: briefly }, async t => {
    const { connected, traffic, breaches, exitCode, noticedMs } = await over('cut')
    t.diagnostic(`missed after ${noticedMs} ms`)
    assert.deepEqual([connected, traffic.lost, exitCode], [10, 0, 1])
    assert.match(breaches[0] ?? '', /^agent 10\.77\.1\.2:\d+, worker 1 of 2 ended \(/)
  })
})
