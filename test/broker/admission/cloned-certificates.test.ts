// One certificate in two hands: noticed, told, and suspended where that is set.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Identity } from '../../harness/authority.ts'
import {
  attempt,
  connectPacket,
  firstBytes,
  openTls,
  startTestBroker,
  type TestBroker,
} from '../../harness/broker.ts'

/** Takes the session over again and again; every connection but the last is closed by the next. */
async function storm(t: TestBroker, identity: Identity, times: number) {
  for (let count = 0; count < times; count += 1) {
    const socket = await openTls(t, { identity })
    socket.on('error', () => {})
    socket.write(connectPacket({ clientId: 'd1' }))
    await firstBytes(socket)
  }
}

test('a takeover storm is told with its evidence, and nobody is locked out by default', async () => {
  const t = await startTestBroker()
  try {
    const identity = await t.roll.enroll('d1')
    await storm(t, identity, 12)
    const line = await t.line(line => line.msg === 'certificate_cloned')
    assert.equal(line['kind'], 'takeover_storm')
    assert.equal(line.deviceId, 'd1')
    assert.equal(line['suspended'], false)
    assert.deepEqual(line['addresses'], ['127.0.0.1'])
    assert.match(await t.broker.metrics(), /rollcall_clones_suspected_total\{kind="takeover_storm"\} 1/)
    assert.equal(await attempt(t, { identity, connect: { clientId: 'd1' } }), 'connack 0')
  } finally {
    await t.close()
  }
})

test('where set, the certificate is suspended: the session is cut, and the audit log holds why', async () => {
  const t = await startTestBroker({ settings: { suspendClones: 1 } })
  try {
    const identity = await t.roll.enroll('d1')
    await storm(t, identity, 12)
    const cut = await t.line(line => line.msg === 'cut' && line.deviceId === 'd1')
    assert.equal(cut.reason, 'certificate_suspended')
    assert.equal(await attempt(t, { identity, connect: { clientId: 'd1' } }), 'connack 5')
    const row = t.roll.registry.sqlite
      .prepare<[], { target: string; reason: string; detail: string }>(
        `SELECT target, reason, detail FROM audit WHERE action = 'certificate.suspend'`,
      )
      .get()
    assert.equal(row?.target, identity.fingerprint)
    assert.equal(row?.reason, 'certificate_cloned')
    assert.equal(JSON.parse(row?.detail ?? '{}').kind, 'takeover_storm')
  } finally {
    await t.close()
  }
})
