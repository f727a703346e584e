// Every command of docs/enrollment.md, run as it is written by a shell against a service of its own.
import assert from 'node:assert/strict'
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { shellBlocksOf } from '../../harness/document.ts'
import { startService, temporaryDirectory } from '../harness.ts'
import { shell } from '../shell.ts'

const main = new URL('../../../cli/main.ts', import.meta.url).pathname

test('every command in the enrollment document works as it is written', async () => {
  using folder = temporaryDirectory()
  await using service = await startService({ receiptTimeoutMs: 20 })
  symlinkSync(service.directory, join(folder.path, 'data'))
  const blocks = shellBlocksOf('docs/enrollment.md')
  assert.ok(blocks.length >= 6)
  const text = blocks.join('\n').replace('https://127.0.0.1:8443', service.url)
  const { output, code } = await shell(`rollcall() { node ${main} "$@"; }\n${text}`, folder.path)
  assert.equal(code, 0, output)
  assert.match(output, /device\.crt: OK/)
  for (const file of ['est', 'sn']) assert.match(output, new RegExp(`${file}\\.crt: OK`))
  assert.match(output, /subject=CN = pump-2/)
  assert.match(output, /^202\n[\s\S]*^201\n/m, 'an enrollment waits for approval, and then goes on')
  const { items } = (await service.call('GET', '/v1/devices')).body
  const enrolled = items.map((device: { id: string }) => device.id)
  for (const id of ['pump-1', 'pump-2', 'pump-3', 'pump-4', 'pump-5', 'SN-1001', 'SN-1002'])
    assert.ok(enrolled.includes(id), id)
})
