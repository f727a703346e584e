// The OpenAPI document against the routes that are served.
import assert from 'node:assert/strict'
import { readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { createBrokerNotes } from '../../../db/broker-notes.ts'
import { closeRegistry } from '../../../db/index.ts'
import { openForNotes } from '../../../db/open.ts'
import { problems } from '../../../provisioning/server/problem-list.ts'
import { shellBlocksOf } from '../../harness/document.ts'
import { startService, temporaryDirectory } from '../harness.ts'
import { shell } from '../shell.ts'

const document = readFileSync(new URL('../../../docs/api.md', import.meta.url), 'utf8')

test('every command in the API document works as it is written', async () => {
  using folder = temporaryDirectory()
  await using service = await startService({ receiptTimeoutMs: 20 })
  symlinkSync(service.directory, join(folder.path, 'data'))
  const registry = openForNotes(join(service.directory, 'registry.db'))
  createBrokerNotes(registry).enter('broker', 0, Date.now())
  await closeRegistry(registry)
  const blocks = shellBlocksOf('docs/api.md')
  assert.ok(blocks.length >= 10)
  const text = blocks.join('\n').replace('API=https://127.0.0.1:8443', `API=${service.url}`)
  // A line of its own after each answer, so that answers can be told apart.
  const { output, code } = await shell(`curl() { command curl "$@" && echo; }\n${text}`, folder.path)
  assert.equal(code, 0, output)
  const answers = output
    .split('\n')
    .filter(line => line.startsWith('{'))
    .map(line => JSON.parse(line))
  const refused = answers.filter(answer => answer.status >= 400)
  assert.deepEqual(
    refused.map(answer => answer.reason),
    // No broker runs beside this service, which would list what is retained.
    ['request_invalid', 'retained_unlisted'],
    output,
  )
  assert.match(output, /device\.crt: OK/)
  assert.ok(answers.some(answer => answer.status === 'revoked'))
  assert.ok(answers.some(answer => answer.kind === 'unlisted'))
})

test('the API document names every reason with its status, and every route', async () => {
  for (const [reason, { status }] of Object.entries(problems)) {
    const row = document.split('\n').find(line => line.startsWith('|') && line.includes(`\`${reason}\``))
    assert.ok(row?.split('|')[1]?.includes(String(status)), `${reason} ${status}`)
  }
  await using service = await startService()
  const { body } = await service.call('GET', '/openapi.json')
  for (const path of Object.keys(body.paths)) {
    const pattern = path
      .replace('{id}', '(\\{id\\}|[a-z]+-1)')
      .replace('{fingerprint}', '(\\{fingerprint\\}|\\$FINGERPRINT)')
    assert.match(document, new RegExp(`${pattern}(?![a-z/{$])`), path)
  }
})
