// `rollcall device try-publish` and `try-subscribe` as an operator types them, through a real broker.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { beside, connect } from '../../provisioning/broker-beside.ts'
import { startService } from '../../provisioning/harness.ts'
import { rollcallHere } from '../in-process.ts'

test('what a device may is tried out from the command line', async () => {
  await using service = await startService()
  const broker = await beside(service)
  const asked = (...args: string[]) =>
    rollcallHere('device', ...args, '--api', service.url, '--data', service.directory)
  try {
    await service.enroll('d1')
    const file = join(service.directory, 'payload')
    writeFileSync(file, 'from a file')
    const sent = await asked('try-publish', 'd1', 'devices/d1/telemetry', '--file', file, '-o', 'json')
    assert.deepEqual(JSON.parse(sent.stdout), { deviceId: 'd1', topic: 'devices/d1/telemetry', receivers: 0 })
    const { client } = await connect(service, broker.port, 'd2')
    await client.publishAsync('devices/d2/state', 'kept', { qos: 1, retain: true })
    const heard = await asked('try-subscribe', 'd2', 'devices/d2/#', '--messages', '1', '-o', 'jsonl')
    const [code, message] = [heard.code, JSON.parse(heard.stdout)]
    assert.deepEqual([code, message.payload, message.retained], [0, 'kept', true], heard.stderr)
    assert.match(heard.stderr, /^1 messages for d2: so many came$/m)
    await client.endAsync()
    const denied = await asked('try-publish', 'd1', 'devices/d2/telemetry', '-o', 'json')
    assert.deepEqual([denied.code, JSON.parse(denied.stderr).reason], [1, 'tryout_denied'])
    const both = await asked('try-publish', 'd1', 'a', '--file', file, '--payload', 'x')
    assert.equal(both.code, 2)
  } finally {
    await broker.close()
  }
})
