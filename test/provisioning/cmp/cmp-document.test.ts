// Every command of docs/cmp.md, run as it is written by a shell, against a service of its own and a broker beside it.
import assert from 'node:assert/strict'
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { DAY_MS } from '../../../provisioning/ca/profile.ts'
import { shellBlocksOf } from '../../harness/document.ts'
import { beside } from '../broker-beside.ts'
import { startService, temporaryDirectory } from '../harness.ts'
import { shell } from '../shell.ts'

const main = new URL('../../../cli/main.ts', import.meta.url).pathname

test('every command in the document about CMP works as it is written', async () => {
  // The certificate is due for renewal once the clock is set forward to what it is elsewhere.
  let offset = -70 * DAY_MS
  await using service = await startService({ receiptTimeoutMs: 20, now: () => Date.now() + offset })
  using folder = temporaryDirectory()
  symlinkSync(service.directory, join(folder.path, 'data'))
  await using cleanup = new AsyncDisposableStack()
  const broker = cleanup.adopt(await beside(service), running => running.close())
  const [operator = '', device = '', renewal = '', ...more] = shellBlocksOf('docs/cmp.md')
  assert.equal(more.length, 0)
  const begin = `rollcall() { node ${main} "$@"; }\nexport ROLLCALL_API=${service.url}\n`
  const run = (text: string) => shell(begin + text, folder.path)

  const made = await run(operator.replace('https://127.0.0.1:8443', service.url))
  assert.equal(made.code, 0, made.output)
  const shown = await run('rollcall enrollment-token create --group g --cmp -o json --data data 2>/dev/null')
  const { reference, secret, id, token } = JSON.parse(shown.output)
  assert.deepEqual([reference, token], [id, undefined], 'the secret stands for the token')
  assert.match(secret, /^rcs_[\w-]{43}$/)
  const enrolled = await run(device.replace('-p 8883', `-p ${broker.port}`))
  assert.equal(enrolled.code, 0, enrolled.output)
  assert.match(
    enrolled.output,
    /received PKICONF[\s\S]*device\.crt: OK[\s\S]*genp contains ITAV of type: id-it-caCerts/,
  )

  offset = 0
  const options = device.split('\n').find(line => line.startsWith('CMP='))
  const renewed = await run(`${options}\n${renewal}`)
  assert.equal(renewed.code, 0, renewed.output)
  assert.match(renewed.output, /received KUP[\s\S]*received PKICONF[\s\S]*revocation accepted/)
  const { items } = (await service.call('GET', '/v1/certificates?deviceId=pump-1')).body
  assert.equal(items.length, 2)
  assert.ok(items.some(({ status }: { status: string }) => status === 'revoked'))
})
