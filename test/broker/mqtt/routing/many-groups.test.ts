// A session takes part in so many groups and no more: a message is delivered once for each.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startTestBroker } from '../../../harness/broker.ts'
import { subscribePacket, visit } from '../../../harness/raw-client.ts'

const SUBACK = 9
const REFUSED = 0x80

test('a session joins thirty-two groups, over several SUBSCRIBE, and no more', async context => {
  const t = await startTestBroker()
  context.after(() => t.close())
  const device = await visit(t, await t.roll.enroll('d1'), { clientId: 'd1' })
  const groups = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, index) => `$share/g${from + index}/devices/d1/#`)
  const ask = async (filters: string[]) => [
    ...(await device.ask(subscribePacket(1, filters), SUBACK)).subarray(-filters.length),
  ]
  assert.deepEqual(await ask(groups(0, 20)), Array(20).fill(0))
  assert.deepEqual(await ask(groups(20, 35)), [...Array(12).fill(0), ...Array(3).fill(REFUSED)])
  assert.deepEqual(await ask([...groups(0, 1), 'devices/d1/x']), [0, 0], 'one that it is in, and no group')
  device.cut()
})
