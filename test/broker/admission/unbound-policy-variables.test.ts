// A deny whose variable has no value: nobody can say what is denied, so the connection is refused.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { attempt, mqttClient, startTestBroker } from '../../harness/broker.ts'
import { gone } from '../../harness/inbox.ts'
import { tester } from '../../harness/roll.ts'

const deny = {
  name: 'sites',
  statements: [{ effect: 'deny', actions: ['publish'], topics: [`devices/+/\${device.attr.site}/#`] }],
}

test('a device without the value is refused, one that has it is let in, and losing it cuts', async () => {
  const t = await startTestBroker()
  try {
    const identity = await t.roll.enroll('d1')
    await t.roll.writer.putPolicy('sites', deny, tester)
    await t.roll.writer.attachPolicy('sites', 'device', 'd1', tester)
    const knock = () => attempt(t, { identity, connect: { clientId: 'd1' } })
    assert.equal(await knock(), 'connack 5')
    await t.line(line => line.msg === 'refused' && line.reason === 'policy_unbound')

    await t.roll.writer.changeDevice('d1', { attributes: { site: 'north' } }, tester)
    const device = await mqttClient(t, 'd1', identity)
    await t.roll.writer.changeDevice('d1', { attributes: { site: 'north/south' } }, tester)
    await gone(device)
    const cut = await t.line(line => line.msg === 'cut' && line.deviceId === 'd1')
    assert.equal(cut.reason, 'policy_unbound')
    assert.equal(await knock(), 'connack 5')
  } finally {
    await t.close()
  }
})
