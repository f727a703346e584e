// Key exchange groups: the post-quantum hybrid first, the classic ones for clients without it, and those alone that are set.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ConnectionOptions } from 'node:tls'
import { ConfigError, validateSettings } from '../../../../broker/settings/validation.ts'
import type { Identity } from '../../../harness/authority.ts'
import {
  connectPacket,
  firstBytes,
  openTls,
  startTestBroker,
  type TestBroker,
} from '../../../harness/broker.ts'

/** The group that was agreed upon, null where there was no handshake or no CONNACK 0. */
async function negotiated(t: TestBroker, identity: Identity, tls: ConnectionOptions): Promise<string | null> {
  const socket = await openTls(t, { identity, tls }).catch(() => null)
  if (socket === null) return null
  socket.write(connectPacket({ clientId: 'd1' }))
  const answer = await firstBytes(socket)
  const { name, type } = socket.getEphemeralKeyInfo() as { name?: string; type?: string }
  socket.destroy()
  return answer?.[3] === 0 ? (name ?? type ?? 'unnamed') : null
}

const classic = ['X25519', 'P-256', 'P-384']

for (const gates of [0, 1]) {
  test(`${gates} gates: a client gets in by each group alone, the post-quantum one too`, async () => {
    const t = await startTestBroker({ settings: { gates } })
    try {
      const identity = await t.roll.enroll('d1')
      for (const ecdhCurve of ['X25519MLKEM768', ...classic])
        assert.notEqual(await negotiated(t, identity, { ecdhCurve }), null, ecdhCurve)
      assert.equal(await negotiated(t, identity, { ecdhCurve: 'X448' }), null)
    } finally {
      await t.close()
    }
  })

  test(`${gates} gates: TLS 1.2 takes keys on P-256 and P-384, whatever group comes first`, async () => {
    const t = await startTestBroker({ settings: { gates } })
    try {
      for (const keyType of ['p256', 'p384'] as const) {
        const identity = await t.roll.issuing.issue({ name: 'd1', keyType })
        await t.roll.list('d1', identity)
        for (const ecdhCurve of [classic.join(':'), 'P-256:P-384', 'P-384:P-256'])
          assert.notEqual(
            await negotiated(t, identity, { maxVersion: 'TLSv1.2', ecdhCurve }),
            null,
            `${keyType} by ${ecdhCurve}`,
          )
      }
    } finally {
      await t.close()
    }
  })

  test(`${gates} gates: the groups that are set hold alone`, async () => {
    const t = await startTestBroker({ settings: { gates, tlsGroups: 'P-256:X25519' } })
    try {
      const identity = await t.roll.enroll('d1')
      assert.equal(await negotiated(t, identity, { ecdhCurve: 'X25519MLKEM768' }), null)
      assert.equal(await negotiated(t, identity, { ecdhCurve: 'P-384' }), null)
      assert.notEqual(await negotiated(t, identity, { ecdhCurve: 'X25519' }), null)
      await t.line(line => line.reason === 'handshake_failed')
    } finally {
      await t.close()
    }
  })
}

test('the hybrid is preferred where a client offers both', async () => {
  const t = await startTestBroker()
  try {
    const identity = await t.roll.enroll('d1')
    const both = await negotiated(t, identity, { ecdhCurve: 'X25519MLKEM768:X25519' })
    assert.equal(both, await negotiated(t, identity, { ecdhCurve: 'X25519MLKEM768' }))
    assert.notEqual(both, await negotiated(t, identity, { ecdhCurve: 'X25519' }))
  } finally {
    await t.close()
  }
})

test('a list of groups that OpenSSL does not know keeps the broker from starting', () => {
  for (const tlsGroups of ['', 'X25519:none', 'X25519,P-256'])
    assert.throws(() => validateSettings({ tlsGroups }), ConfigError, tlsGroups)
})
