// Devices with ML-DSA keys at the gate: whatever signed their certificate, in one process and behind gates, and none of them
// where the setting refuses them.
import assert from 'node:assert/strict'
import { KeyObject } from 'node:crypto'
import { once } from 'node:events'
import { test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import {
  attempt,
  connectPacket,
  firstBytes,
  openTls,
  startTestBroker,
  type TestBroker,
} from '../../harness/broker.ts'
import { mlDsaTypes, pqAuthority, pqKey, pqLeaf } from '../../harness/ml-dsa.ts'
import { notOnBun } from '../../harness/runtime.ts'

const issuing = (t: TestBroker) => ({
  name: 'Test Issuing CA',
  key: KeyObject.from(t.roll.issuing.keyPair.privateKey),
})

for (const gates of [0, 1]) {
  test(`${gates} gates: a device gets in by an ML-DSA key, under a P-256 CA, an ML-DSA CA and pinned`, async () => {
    const t = await startTestBroker({ settings: { gates } })
    try {
      const ca = pqAuthority('Post-quantum CA', pqKey('ml-dsa-87'))
      const anchor = { der: ca.der, name: 'pq', kind: 'foreign', parentId: null } as const
      const issuerId = await t.roll.writer.addIssuer(anchor, { name: 'test', kind: 'local' })
      await t.line(line => /anchors reloaded/.test(line.msg))
      for (const type of mlDsaTypes) {
        const ours = pqLeaf(`${type}-ours`, pqKey(type), issuing(t))
        await t.roll.list(`${type}-ours`, ours)
        const foreign = pqLeaf(`${type}-foreign`, pqKey(type), ca)
        await t.roll.list(`${type}-foreign`, foreign, { issuerId })
        const pinned = pqLeaf(`${type}-pinned`, pqKey(type), null)
        await t.roll.list(`${type}-pinned`, pinned, { trust: 'pinned', issuerId: null })
        const stranger = pqLeaf(`${type}-ours`, pqKey(type), issuing(t))
        const seen = (identity: typeof ours, clientId: string) =>
          attempt(t, { identity, connect: { clientId } })
        assert.equal(await seen(ours, `${type}-ours`), 'connack 0', type)
        assert.equal(await seen(foreign, `${type}-foreign`), 'connack 0', type)
        assert.equal(await seen(pinned, `${type}-pinned`), 'connack 0', type)
        assert.equal(await seen(stranger, `${type}-ours`), 'cut', type)
      }
      const older = {
        identity: pqLeaf('older', pqKey('ml-dsa-65'), null),
        tls: { maxVersion: 'TLSv1.2' },
      } as const
      assert.equal(await attempt(t, older), 'cut', 'TLS 1.2 has no ML-DSA')
    } finally {
      await t.close()
    }
  })
}

test('a session of an ML-DSA device is resumed and admitted anew, until its certificate is revoked', async () => {
  const t = await startTestBroker({ settings: { ticketLifetimeMs: 60_000 } })
  try {
    const identity = pqLeaf('d1', pqKey('ml-dsa-87'), issuing(t))
    const fingerprint = await t.roll.list('d1', identity)
    const full = await openTls(t, { identity })
    const [ticket] = await Promise.all([once(full, 'session'), admitted(full)])
    full.destroy()
    const again = await openTls(t, { identity, tls: { session: ticket[0] as Buffer } })
    assert.equal(again.isSessionReused(), true)
    assert.equal(await admitted(again), 0)
    again.destroy()
    await t.roll.writer.revokeCertificate(fingerprint, 'keyCompromise', { name: 'test', kind: 'local' })
    const revoked = await openTls(t, { identity, tls: { session: ticket[0] as Buffer } }).catch(() => null)
    if (revoked !== null) assert.notEqual(await admitted(revoked), 0)
  } finally {
    await t.close()
  }
})

async function admitted(socket: TLSSocket): Promise<number | undefined> {
  socket.write(connectPacket({ clientId: 'd1' }))
  return (await firstBytes(socket))?.[3]
}

for (const gates of [0, 1]) {
  test(`${gates} gates: with pq off nobody gets in by an ML-DSA key, and others do as before`, async () => {
    const t = await startTestBroker({ settings: { gates, pq: 'off' } })
    try {
      for (const type of mlDsaTypes) {
        const identity = pqLeaf(type, pqKey(type), issuing(t))
        await t.roll.list(type, identity)
        assert.equal(await attempt(t, { identity, connect: { clientId: type } }), 'cut', type)
      }
      const classic = await t.roll.enroll('classic')
      assert.equal(await attempt(t, { identity: classic, connect: { clientId: 'classic' } }), 'connack 0')
    } finally {
      await t.close()
    }
  })
}

const noSlhDsa = notOnBun('its crypto has no such keys')
test('a key of SLH-DSA cannot even authenticate: TLS has no signature of it', {
  skip: noSlhDsa,
}, async () => {
  const t = await startTestBroker()
  try {
    const identity = pqLeaf('d1', pqKey('slh-dsa-sha2-128s'), issuing(t))
    await t.roll.list('d1', identity)
    assert.equal(await attempt(t, { identity, connect: { clientId: 'd1' } }), 'cut')
  } finally {
    await t.close()
  }
})
