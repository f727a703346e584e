// A CRL that comes in force while devices are connected: listed certificates are cut, those no longer listed come back.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { certificateFacts, fingerprintOf } from '../../../pki/certificate-facts.ts'
import { type Authority, createAuthority, type Identity } from '../../harness/authority.ts'
import { attempt, mqttClient, startTestBroker, type TestBroker } from '../../harness/broker.ts'
import { tester } from '../../harness/roll.ts'

let t: TestBroker
let maker: Authority
let makerId: string
let lists = 0
before(async () => {
  t = await startTestBroker()
  maker = await createAuthority('Maker CA')
  makerId = fingerprintOf(maker.der)
  await t.roll.writer.addTrustAnchor({ der: maker.der, name: 'maker', parentId: null }, tester)
  await t.line(line => line['issuers'] === 3)
})
after(() => t.close())

async function device(id: string): Promise<Identity> {
  const identity = await maker.issue({ name: id })
  await t.roll.list(id, identity, { issuerId: makerId })
  return identity
}

/** Gives whether it changed anything. */
async function putInForce(...listed: Identity[]): Promise<boolean> {
  const { writer } = t.roll
  const facts = { number: null, thisUpdate: lists, nextUpdate: null, scope: '', hash: `${lists++}` }
  const crlId = await writer.beginCrl(makerId, facts)
  const revocations = listed.map(({ der }) => {
    const { serialNumber } = certificateFacts(der)
    return { serialNumber, revokedAt: 0, reason: 'unspecified' }
  })
  const counted = await writer.writeRevocations(crlId!, revocations)
  return (await writer.putCrlInForce(crlId!, counted, tester)) !== null
}

const knock = (id: string, identity: Identity) => attempt(t, { identity, connect: { clientId: id } })

test('cuts the certificates that it lists and no others; a released one may come again', async () => {
  const [first, second] = [await device('c1'), await device('c2')]
  const clients = [await mqttClient(t, 'c1', first), await mqttClient(t, 'c2', second)]
  const closed = new Promise<void>(resolve => clients[0]!.once('close', () => resolve()))
  assert.equal(await putInForce(first), true)
  await closed
  const cut = await t.line(line => line.msg === 'cut' && line.deviceId === 'c1')
  assert.equal(cut.reason, 'certificate_revoked_by_issuer')
  assert.equal(clients[1]!.connected, true)
  assert.equal(await knock('c1', first), 'connack 5')
  assert.equal(await putInForce(first), false, 'the same again concerns nobody')
  assert.equal(await putInForce(), true)
  assert.equal(await knock('c1', first), 'connack 0')
  await Promise.all(clients.map(client => client.endAsync(true)))
})

test('one that is being written is not in force, and one that never came to be goes away', async () => {
  const identity = await device('c3')
  const facts = { number: null, thisUpdate: lists, nextUpdate: null, scope: '', hash: 'half' }
  const crlId = await t.roll.writer.beginCrl(makerId, facts)
  const { serialNumber } = certificateFacts(identity.der)
  await t.roll.writer.writeRevocations(crlId!, [{ serialNumber, revokedAt: 0, reason: 'unspecified' }])
  assert.equal(await knock('c3', identity), 'connack 0')
  assert.ok((await t.roll.writer.dropCrls(1_000)) >= 1)
  assert.equal(await t.roll.writer.dropCrls(1_000), 0)
  const left = t.roll.registry.sqlite.prepare('SELECT count(*) FROM issuer_crls').pluck().get()
  assert.equal(left, 1)
})

test('an issuer that the CRL above it lists admits nobody, through it or below it', async () => {
  const below = await maker.subordinate('Maker Device CA')
  const belowId = fingerprintOf(below.der)
  await t.roll.writer.addTrustAnchor({ der: below.der, name: 'below', parentId: makerId }, tester)
  await t.line(line => line['issuers'] === 4)
  const identity = await below.issue({ name: 'c4' })
  await t.roll.list('c4', identity, { issuerId: belowId })
  assert.equal(await knock('c4', identity), 'connack 0')
  const client = await mqttClient(t, 'c4', identity)
  const closed = new Promise<void>(resolve => client.once('close', () => resolve()))
  await putInForce({ der: below.der } as Identity)
  await closed
  assert.equal((await t.line(line => line.msg === 'cut' && line.deviceId === 'c4')).reason, 'issuer_revoked')
  assert.equal(await knock('c4', identity), 'connack 5')
})
