// Which runtime devices run on, and what keeps one from it.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, describe, it } from 'node:test'
import { BUN_TESTED, chooseRuntime, onNode } from '../../../device-sim/workers/runtime.ts'
import { tryRuntime } from '../../../device-sim/workers/runtime-trial.ts'
import manifest from '../../../package.json' with { type: 'json' }
import { marked } from '../../harness/marked-processes.ts'
import { until } from '../../harness/until.ts'

const simulator = join(import.meta.dirname, '../../../device-sim/package/main.ts')
const folder = mkdtempSync(join(tmpdir(), 'rollcall-runtime-'))
after(() => rmSync(folder, { recursive: true }))

function program(name: string, script: string): string {
  const path = join(folder, name)
  writeFileSync(path, `#!/bin/sh\n${script}\n`)
  chmodSync(path, 0o755)
  return path
}

/** A runtime that says this of its connections, and sent nothing. */
function saying(name: string, results: string[]): string {
  const script = join(folder, `${name}.mjs`)
  writeFileSync(
    script,
    `process.once('message', () => process.send(${JSON.stringify({ results, sent: 'nothing' })}))`,
  )
  return program(name, `exec '${process.execPath}' '${script}'`)
}

describe('the runtime of devices', { concurrency: 4 }, () => {
  it('is Node unless another is asked for', async () => {
    assert.deepEqual(await chooseRuntime(), onNode)
  })

  for (const asked of ['bun', 'auto'] as const) {
    it(`${asked}: is Bun where it is installed and passes the trial`, async () => {
      const { name, version, why } = await chooseRuntime(asked)
      assert.deepEqual([name, version, why], ['bun', manifest.config.bun, null])
    })
  }

  it('is tested with the version that the broker is', () => assert.equal(BUN_TESTED, manifest.config.bun))

  it('passes the trial on Node, too', async () => assert.equal(await tryRuntime(process.execPath), null))

  it('does not pass where it trusts anybody, sends nothing, ends or cannot be started', async () => {
    const trusting = ['admitted', 'admitted', 'connack_5', 'admitted', 'admitted', 'admitted']
    assert.equal(
      await tryRuntime(saying('trusting', trusting)),
      'with a server that it does not trust it said admitted',
    )
    const distrusting = ['altname_invalid', 'cert_not_pinned'].map(code => `server_not_trusted_${code}`)
    const right = ['admitted', 'admitted', 'connack_5', 'server_not_trusted_x', ...distrusting]
    right[4] = 'server_not_trusted_err_tls_cert_altname_invalid'
    assert.equal(await tryRuntime(saying('silent', right)), 'what it sent did not arrive as it was')
    assert.equal(await tryRuntime(program('ends', 'exit 3')), 'it ended with exit code 3')
    assert.match((await tryRuntime(join(folder, 'absent'))) ?? '', /ENOENT/)
  })

  for (const [what, args, problem] of [
    ['agents by their coordinator', ['--agents', '127.0.0.1:1=aa'], /--runtime: is chosen by each agent/],
    ['clauses', ['conformance'], /unknown option '--runtime'/],
  ] as const) {
    it(`is not chosen for ${what}`, async () => {
      const target = ['--broker', 'mqtt://127.0.0.1:1', '--runtime', 'bun']
      const child = spawn(process.execPath, [simulator, ...args, ...target], {
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      const [[code], said] = await Promise.all([once(child, 'exit'), text(child.stderr)])
      assert.equal(code, 2)
      assert.match(said, problem)
    })
  }
})

it('a worker on Bun ends with the program that started it, also where that is killed', async () => {
  const admit = Buffer.from([0x20, 2, 0, 0])
  const seen = Promise.withResolvers<void>()
  const broker = createServer(socket => {
    socket
      .on('error', () => {})
      .once('data', () => {
        socket.write(admit)
        seen.resolve()
      })
  }).listen(0, '127.0.0.1')
  await once(broker, 'listening')
  const mark = randomBytes(8).toString('hex')
  const url = `mqtt://127.0.0.1:${(broker.address() as AddressInfo).port}`
  const args = ['--broker', url, '--devices', '1', '--duration', '1h', '--runtime', 'bun']
  const child = spawn(process.execPath, [simulator, ...args], {
    env: { ...process.env, ROLLCALL_TEST_MARK: mark },
    stdio: 'ignore',
  })
  await seen.promise
  assert.equal(marked(mark).length, 2)
  child.kill('SIGKILL')
  await until(() => marked(mark).length === 0)
  broker.close()
})
