// A network that loses packets, is slow, resets connections or is cut in two, made by the kernel in a namespace of its own.
import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { promisify } from 'node:util'
import { length } from './length.ts'

const script = join(import.meta.dirname, 'bad-network.ts')
const allowed = spawnSync('unshare', ['-rn', 'ip', 'link', 'set', 'lo', 'up']).status === 0
const skip = allowed ? false : 'this user may not make a network namespace'

async function on<Result>(kind: string, seconds: number): Promise<Result> {
  const command = ['-rn', process.execPath, script, kind, String(seconds)]
  const { stdout } = await promisify(execFile)('unshare', command, { timeout: seconds * 1_000 + 180_000 })
  return JSON.parse(stdout) as Result
}

type Traffic = { acknowledged: number; again: number; meanwhile: number; recoveryMs: number }

describe('a network that', { skip }, () => {
  for (const [kind, what] of [
    ['loss', 'loses a tenth of its packets'],
    ['slow', 'carries 1 Mbit/s'],
    ['resets', 'resets connections'],
  ] as const)
    it(`${what} loses no acknowledged message, and QoS 2 arrives once`, async t => {
      const { acknowledged, again, meanwhile, recoveryMs } = await on<Traffic>(kind, length(2, 60))
      t.diagnostic(
        `${what}: ${meanwhile} acknowledged meanwhile, ${acknowledged} in all, all arrived, ${again} of QoS 1 again; no connection left after ${recoveryMs} ms`,
      )
    })

  it('is cut in two: the dead peer is found within 1.5 × its keep-alive, and its will is sent once', async t => {
    type Split = { keepaliveMs: number; foundMs: number; wills: number; backMs: number }
    const { keepaliveMs, foundMs, wills, backMs } = await on<Split>('split', length(7, 60))
    t.diagnostic(
      `found after ${foundMs} ms of a keep-alive of ${keepaliveMs} ms; back ${backMs} ms after the cut`,
    )
    // The last packet came up to a moment before the cut; the rest is for a machine that is busy with others.
    assert.ok(foundMs <= keepaliveMs * 1.5 + length(10_000, 500), `${foundMs} ms`)
    assert.equal(wills, 1)
  })
})
