// `rollcall session` as an operator types it, against a service with a broker and real devices.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gone } from '../../harness/inbox.ts'
import { until } from '../../harness/until.ts'
import { beside, connect } from '../../provisioning/broker-beside.ts'
import { startService } from '../../provisioning/harness.ts'
import { rollcallHere } from '../in-process.ts'

test('sessions are listed and kicked from the command line', async () => {
  await using service = await startService({ receiptTimeoutMs: 5_000 })
  const broker = await beside(service)
  const asked = (...args: string[]) =>
    rollcallHere('session', ...args, '--api', service.url, '--data', service.directory)
  try {
    assert.deepEqual(await asked('list'), { code: 0, stdout: '', stderr: 'no session fits\n' })
    const { client } = await connect(service, broker.port, 'd1', { clean: false })
    await client.subscribeAsync('devices/d1/commands', { qos: 1 })
    await until(async () => (await asked('list', '--connected', '--kept', '-o', 'jsonl')).stdout !== '')
    const table = (await asked('list', '--sort', '-since')).stdout
    assert.match(
      table,
      /^DEVICE {2}CONNECTED {2}KEPT {2}WAITING {2}SINCE +ADDRESS +MQTT +BROKER\nd1 +yes +yes +0 /,
    )

    const kicked = await asked('kick', 'd1', 'nobody', '-o', 'json')
    assert.equal(kicked.code, 1)
    assert.match(kicked.stderr, /^d1 may connect again; 1 session cut, 1 of 1 brokers acknowledged$/m)
    assert.match(kicked.stderr, /^nobody: no device nobody is registered$/m)
    assert.equal(JSON.parse(kicked.stdout).cleared, false)
    await gone(client)
    const cleared = await asked('kick', 'd1', '--clear', '-o', 'json')
    assert.deepEqual([cleared.code, JSON.parse(cleared.stdout).cleared], [0, true])
    assert.match(cleared.stderr, /^d1 has no session any more; 0 sessions cut/)
    await until(async () => (await asked('list', '-o', 'jsonl')).stdout === '')
  } finally {
    await broker.close()
  }
})
