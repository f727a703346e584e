// A client of MQTT 3.1 is told "session present" in the byte of CONNACK that its standard leaves unused.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startTestBroker } from '../../../harness/broker.ts'
import { visit } from '../../../harness/raw-client.ts'

test('MQTT 3.1 goes on with its session, and is told so', async context => {
  const t = await startTestBroker()
  context.after(() => t.close())
  const device = await t.roll.enroll('d1')
  const first = await visit(t, device, { clientId: 'd1', level: 3 })
  first.cut()
  await t.line(line => line.msg === 'disconnected')
  const second = await visit(t, device, { clientId: 'd1', level: 3 })
  second.cut()
  assert.deepEqual([first.present, second.present], [false, true])
  assert.equal(t.lines.find(line => line.msg === 'connected')?.['protocol'], '3.1')
})
