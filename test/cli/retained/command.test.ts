// `rollcall retained` as an operator types it, against a service with a broker and a real device.
import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { until } from '../../harness/until.ts'
import { beside, connect } from '../../provisioning/broker-beside.ts'
import { startService } from '../../provisioning/harness.ts'
import { rollcallHere } from '../in-process.ts'

test('retained messages are listed, shown and cleared from the command line', async () => {
  await using service = await startService({ receiptTimeoutMs: 5_000 })
  const broker = await beside(service)
  const asked = (...args: string[]) =>
    rollcallHere('retained', ...args, '--api', service.url, '--data', service.directory)
  try {
    const nothing = { code: 0, stdout: '', stderr: 'no retained message fits\n' }
    assert.deepEqual(await asked('list'), nothing)
    const { client } = await connect(service, broker.port, 'd1')
    for (const part of ['a', 'b', 'c'])
      await client.publishAsync(`devices/d1/${part}`, 'some', { qos: 1, retain: true })
    await until(async () => (await asked('list', '-o', 'jsonl')).stdout.split('\n').length === 4)
    assert.match(
      (await asked('list', '--limit', '1')).stdout,
      /^TOPIC +DEVICE +QOS +BYTES +RETAINED +EXPIRES\ndevices\/d1\/a +d1 +1 +4 +2\d{3}-/,
    )
    assert.deepEqual(await asked('list', '--filter', 'devices/+/nothing'), nothing)
    const shown = await asked('show', 'devices/d1/b', '-o', 'json')
    assert.deepEqual([JSON.parse(shown.stdout).topic, shown.code], ['devices/d1/b', 0])
    const missing = await asked('show', 'devices/d1/d')
    assert.match(
      missing.stderr,
      /^error: nothing is retained on devices\/d1\/d\nhint: rollcall retained list/,
    )

    const one = await asked('clear', 'devices/d1/a', '-o', 'json')
    assert.match(one.stderr, /^1 retained message cleared; 0 sessions cut, 1 of 1 brokers acknowledged$/m)
    assert.deepEqual(JSON.parse(one.stdout).topics, ['devices/d1/a'])
    await until(async () => (await asked('show', 'devices/d1/a')).code === 1)
    const again = await asked('clear', 'devices/d1/a', '-o', 'json')
    assert.equal(JSON.parse(again.stderr).reason, 'retained_unknown')
    const rest = await asked('clear', '--device', 'd1', '--filter', 'devices/#', '--yes')
    assert.match(rest.stderr, /^2 retained messages cleared; /)
    await until(async () => (await asked('list')).stdout === '')

    for (const [wrong, why] of [
      [['clear'], /no topic is given/],
      [['clear', 'a/#'], /a\/# is a topic filter\nhint: say --filter 'a\/#'/],
      [['clear', 'a', '--device', 'd1'], /topics and --filter or --device do not go together/],
    ] as const) {
      const refused = await asked(...wrong)
      assert.equal(refused.code, 2, refused.stderr)
      assert.match(refused.stderr, why)
    }
  } finally {
    await broker.close()
  }
})

test('a topic with a line feed in it makes nobody clear another one', async () => {
  await using service = await startService({ receiptTimeoutMs: 5_000 })
  const broker = await beside(service)
  const asked = (...args: string[]) =>
    rollcallHere('retained', ...args, '--api', service.url, '--data', service.directory)
  const stdin = Object.getOwnPropertyDescriptor(process, 'stdin')!
  const withInput = async (text: string) => {
    Object.defineProperty(process, 'stdin', { value: Readable.from([text]), configurable: true })
    try {
      return await asked('clear', '-', '--yes')
    } finally {
      Object.defineProperty(process, 'stdin', stdin)
    }
  }
  try {
    const [good, hostile] = [
      await connect(service, broker.port, 'd1'),
      await connect(service, broker.port, 'd2'),
    ]
    const topics = ['devices/d1/a', 'devices/d2/a\ndevices/d1/a', 'devices/d2/ b ']
    for (const topic of topics) {
      const { client } = topic.startsWith('devices/d1/') ? good : hostile
      await client.publishAsync(topic, 'some', { qos: 1, retain: true })
    }
    const lines = async () => (await asked('list', '--device', 'd2', '-o', 'jsonl')).stdout
    await until(async () => (await lines()).split('\n').length === 3)
    const bare = await withInput('devices/d2/a\ndevices/d1/a\n')
    assert.equal(bare.code, 2)
    assert.match(bare.stderr, /no JSON with a topic.*\nhint: give lines as rollcall retained list -o jsonl/)
    const cleared = await withInput(await lines())
    assert.match(cleared.stderr, /^2 retained messages cleared/m)
    await until(async () => (await lines()) === '')
    assert.equal((await asked('show', 'devices/d1/a')).code, 0)
    for (const { client } of [good, hostile]) await client.endAsync()
  } finally {
    await broker.close()
  }
})
