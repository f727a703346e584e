// Which runtime `rollcall up` gives the broker, and what keeps one from it.
import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { bunEnvironment, chooseBrokerRuntime } from '../../../cli/service/broker-runtime.ts'
import { checkRuntime } from '../../../cli/service/broker-runtime-check.ts'
import manifest from '../../../package.json' with { type: 'json' }

const version = manifest.config.bun
const folder = mkdtempSync(join(tmpdir(), 'rollcall-runtime-'))
after(() => rmSync(folder, { recursive: true }))

function program(name: string, script: string): string {
  const path = join(folder, name)
  writeFileSync(path, `#!/bin/sh\n${script}\n`)
  chmodSync(path, 0o755)
  return path
}

test('Node carries the broker unless another runtime is asked for', async () => {
  assert.deepEqual(await chooseBrokerRuntime('node'), { name: 'node', program: process.execPath, why: null })
})

for (const asked of ['bun', 'auto'] as const)
  test(`${asked}: Bun carries it where it is installed and passes the check`, async () => {
    const { name, program, why } = await chooseBrokerRuntime(asked)
    assert.deepEqual([name, why], ['bun', `Bun ${version} passed the check`])
    assert.match(program, /bun\.exe$/)
  })

test('a program that is not the tested version, ends, or cannot be started fails the check', async () => {
  assert.match((await checkRuntime(process.execPath, version)) ?? '', /it is version unknown/)
  const { program: bun } = await chooseBrokerRuntime('bun')
  assert.match(
    (await checkRuntime(bun, '0.0.1')) ?? '',
    new RegExp(`it is version ${version}; 0.0.1 is the one`),
  )
  assert.match((await checkRuntime(program('ends', 'exit 3'), version)) ?? '', /ended with exit code 3/)
  assert.match((await checkRuntime(join(folder, 'absent'), version)) ?? '', /ENOENT/)
})

test('a broker on Bun gets no directory of CAs, unless it verifies servers or an operator names one', () => {
  assert.deepEqual(bunEnvironment({}), { SSL_CERT_DIR: '' })
  assert.deepEqual(bunEnvironment({ ROLLCALL_REGISTRY: '', ROLLCALL_BUS: '' }), { SSL_CERT_DIR: '' })
  for (const env of [
    { ROLLCALL_REGISTRY: 'postgres://rollcall@db.example/rollcall' },
    { ROLLCALL_BUS: 'nats://bus.example' },
    { SSL_CERT_DIR: '/etc/ssl/certs' },
    { SSL_CERT_DIR: '' },
  ])
    assert.deepEqual(bunEnvironment(env), {})
})
