// A trust anchor that was renewed with the same name and key: its devices stay, over the end of the certificate it had.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fingerprintOf } from '../../../pki/certificate-facts.ts'
import { createAuthority } from '../../harness/authority.ts'
import { attempt, mqttClient, startTestBroker } from '../../harness/broker.ts'
import { createRoll, tester } from '../../harness/roll.ts'

const HOUR_MS = 3_600_000

test('devices of a renewed anchor stay and come back after the end of its former certificate, others of that time do not', async () => {
  let now = Date.now()
  const roll = await createRoll()
  const { writer } = roll
  const soon = { notAfter: new Date(now + HOUR_MS) }
  const maker = await createAuthority('Maker CA', soon)
  const other = await createAuthority('Other CA', soon)
  const add = async (ca: typeof maker) =>
    (await writer.addTrustAnchor({ der: ca.der, name: 'ca', parentId: null }, tester)).id
  const [makerId, otherId] = [await add(maker), await add(other)]
  const [a, b] = [await maker.issue({ name: 'a' }), await other.issue({ name: 'b' })]
  await roll.list('a', a, { issuerId: makerId })
  await roll.list('b', b, { issuerId: otherId })
  const t = await startTestBroker({ roll, now: () => now })
  const [stays, ends] = [await mqttClient(t, 'a', a), await mqttClient(t, 'b', b)]
  const ended = new Promise(resolve => ends.on('error', () => {}).once('close', () => resolve(null)))

  const renewed = await createAuthority('Maker CA', { keyPair: maker.keyPair })
  const replaces = fingerprintOf(maker.der)
  const epoch = await writer.renewTrustAnchor(
    { issuerId: makerId, der: renewed.der, replaces, parentId: null },
    tester,
  )
  assert.ok(epoch > 0)
  now += HOUR_MS + 1_000
  await ended
  assert.equal(await attempt(t, { identity: b, connect: { clientId: 'b' } }), 'connack 5')
  await stays.publishAsync('devices/a/x', 'still here', { qos: 1 })
  await stays.endAsync()
  assert.equal(await attempt(t, { identity: a, connect: { clientId: 'a' } }), 'connack 0')

  await writer.retireAnchorCertificate(makerId, replaces, tester)
  const c = await renewed.issue({ name: 'c' })
  await roll.list('c', c, { issuerId: makerId })
  for (const [id, identity] of Object.entries({ a, c }))
    assert.equal(await attempt(t, { identity, connect: { clientId: id } }), 'connack 0')
  await t.close()
  await roll.close()
})
