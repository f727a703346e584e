// The broker's own tests once more, on Bun, client and broker alike. By hand, `npm run test:bun`, for it takes four minutes. With
// clients of other stacks the broker is tried in test/e2e/bun-broker.test.ts, each time.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { globSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'

const root = join(import.meta.dirname, '..', '..')
const bun = join(root, 'node_modules', '.bin', 'bun')
const TEST_MS = 60_000
const WHOLE_MS = 15 * 60_000
/** What Bun writes before it says that a test failed. */
const CONTEXT_LINES = 40

/** They measure the heap of V8. */
const measuringV8 = [
  'test/broker/gate/transport/held-back.test.ts',
  'test/broker/gate/transport/octet-by-octet.test.ts',
  'test/broker/mqtt/device-memory.test.ts',
  'test/broker/mqtt/device-memory-sent.test.ts',
]

const skip = process.env['ROLLCALL_BUN_TESTS'] !== 'all' && 'npm run test:bun runs it'
test('what the broker does on Node it does on Bun', { skip, timeout: WHOLE_MS }, async t => {
  const files = globSync('test/{broker,race}/**/*.test.ts', { cwd: root })
    .filter(file => !measuringV8.includes(file) && file !== 'test/broker/on-bun.test.ts')
    .toSorted()
  const child = spawn(bun, ['test', `--timeout=${TEST_MS}`, ...files.map(file => `./${file}`)], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'pipe'],
    signal: t.signal,
  })
  const ended = new Promise<number | null>(resolve => child.once('close', resolve))
  child.on('error', () => {}) // aborted: the time is over
  const said = await text(child.stderr)
  const code = await ended
  const counted = (what: string) => Number(new RegExp(`^ *(\\d+) ${what}$`, 'm').exec(said)?.[1] ?? 0)
  t.diagnostic(`${counted('pass')} passed, ${counted('skip')} left out, ${counted('fail')} failed`)
  const lines = said.split('\n')
  const failed = lines.filter(line => line.startsWith('(fail)'))
  const why = lines.flatMap((line, at) =>
    line.startsWith('(fail)') ? lines.slice(Math.max(0, at - CONTEXT_LINES), at + 1) : [],
  )
  assert.deepEqual([...failed, code], [0], why.join('\n'))
  assert.ok(counted('pass') > 900, 'it ran them')
})
