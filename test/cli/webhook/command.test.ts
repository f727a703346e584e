// Webhooks from the command line, against a real service and a real receiver.
import assert from 'node:assert/strict'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { startService } from '../../provisioning/harness.ts'
import { startReceiver } from '../../provisioning/webhooks/receiver.ts'
import { rollcall } from '../running.ts'

test('a webhook is added, tried, listed, disabled, enabled and removed', async () => {
  let status = 200
  await using receiver = await startReceiver((_, response) => {
    response.statusCode = status
    response.end()
  })
  await using service = await startService({ webhookPrivateAddresses: true })
  const run = (...args: string[]) =>
    rollcall([...args, '--api', service.url, '--data', service.directory, '-o', 'json'])
  const out = join(service.directory, 'hook.secret')
  const added = await run('webhook', 'add', receiver.url, '--kind', 'refused', 'revoked', '--out', out)
  assert.equal(added.code, 0, added.stderr)
  const { id, kinds } = JSON.parse(added.stdout)
  assert.deepEqual(kinds, ['refused', 'revoked'])
  assert.equal(statSync(out).mode & 0o777, 0o600)
  receiver.keys.secret = readFileSync(out, 'utf8').trim()
  assert.ok(!added.stdout.includes('whsec_'))

  const tried = await run('webhook', 'test', id)
  assert.deepEqual([tried.code, JSON.parse(tried.stdout).status], [0, 200])
  assert.ok(receiver.taken[0]!.signed)
  status = 500
  const failed = await run('webhook', 'test', id)
  assert.deepEqual([failed.code, JSON.parse(failed.stdout).status], [1, 500])
  assert.match(failed.stderr, /it answered 500/)

  const none = await run('webhook', 'deliveries', id)
  assert.deepEqual([none.code, JSON.parse(none.stdout)], [0, []])
  const unknown = await run('webhook', 'resend', id, '5')
  assert.deepEqual([unknown.code, JSON.parse(unknown.stderr).reason], [1, 'event_unknown'])
  assert.equal(JSON.parse((await run('webhook', 'replay', id, '--since', '1h')).stdout).id, id)
  assert.equal((await run('webhook', 'replay', id, '--since', 'yesterday')).code, 2)

  assert.equal(JSON.parse((await run('webhook', 'disable', id)).stdout).state, 'disabled')
  assert.equal(JSON.parse((await run('webhook', 'show', id)).stdout).disabledReason, 'operator')
  assert.equal(JSON.parse((await run('webhook', 'enable', id)).stdout).state, 'enabled')
  assert.match((await run('webhook', 'list')).stdout, new RegExp(id))
  assert.equal((await run('webhook', 'remove', id)).code, 0)
  assert.equal((await run('webhook', 'show', id)).code, 1)
})

test('where a webhook may not lead is refused with what to do', async () => {
  await using service = await startService()
  const ran = await rollcall([
    'webhook',
    'add',
    'https://169.254.169.254/',
    '--api',
    service.url,
    '--data',
    service.directory,
  ])
  assert.equal(ran.code, 1)
  assert.match(ran.stderr, /no public address/)
  assert.match(ran.stderr, /ROLLCALL_WEBHOOK_PRIVATE_ADDRESSES/)
})
