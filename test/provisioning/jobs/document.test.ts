// Every command of docs/bulk.md, run as it is written by a shell against a service of its own; and every reason in it.
import assert from 'node:assert/strict'
import { readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { outcomes } from '../../../provisioning/jobs/import-row.ts'
import { rowReasons } from '../../../provisioning/jobs/row-fault.ts'
import { shellBlocksOf } from '../../harness/document.ts'
import { startService, temporaryDirectory } from '../harness.ts'
import { shell } from '../shell.ts'

const document = readFileSync(new URL('../../../docs/bulk.md', import.meta.url), 'utf8')
const main = new URL('../../../cli/main.ts', import.meta.url).pathname

test('every command in the document on bulk works as it is written', async () => {
  using folder = temporaryDirectory()
  await using service = await startService({ receiptTimeoutMs: 20 })
  symlinkSync(service.directory, join(folder.path, 'data'))
  const blocks = shellBlocksOf('docs/bulk.md')
  assert.ok(blocks.length >= 5)
  const text = blocks.join('\n').replace('https://127.0.0.1:8443', service.url)
  const { output, code } = await shell(`rollcall() { node ${main} "$@"; }\nset -e\n${text}`, folder.path)
  assert.equal(code, 0, output)
  assert.match(output, /4 unchanged/)
  const results = readFileSync(join(folder.path, 'results.ndjson'), 'utf8').trim().split('\n')
  assert.deepEqual(
    results.map(line => JSON.parse(line).outcome),
    ['registered', 'enrolled', 'enrolled', 'listed'],
  )
  const roll = readFileSync(join(folder.path, 'roll.ndjson'), 'utf8').trim().split('\n')
  assert.equal(roll.length, 6)
})

test('the document names every reason and every outcome', () => {
  for (const reason of rowReasons) assert.ok(document.includes(`| \`${reason}\` |`), reason)
  for (const outcome of outcomes) assert.ok(document.includes(`\`${outcome}\``), outcome)
})
