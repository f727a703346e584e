// Strangers of a trust anchor at the broker: noted where the anchor lets devices register themselves, refused always.
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { fingerprintOf } from '../../../pki/certificate-facts.ts'
import { type Authority, createAuthority } from '../../harness/authority.ts'
import { attempt, mqttClient, startTestBroker, type TestBroker } from '../../harness/broker.ts'
import { tester } from '../../harness/roll.ts'
import { until } from '../../harness/until.ts'
import { arriveWith } from './attempts.ts'

let t: TestBroker
let maker: Authority
let makerId: string
before(async () => {
  t = await startTestBroker()
  maker = await createAuthority('Maker CA')
  makerId = fingerprintOf(maker.der)
})
after(() => t.close())
beforeEach(() => void t.roll.registry.sqlite.exec('DELETE FROM arrivals'))

const rows = () =>
  t.roll.registry.sqlite.prepare('SELECT fingerprint, issuer_id, address FROM arrivals').all() as {
    fingerprint: string
    issuer_id: string
    address: string
  }[]
const reasonOf = async (fingerprint: string) =>
  (await t.line(line => line.msg === 'refused' && line.fingerprint === fingerprint)).reason
const reloaded = (issuers: number) =>
  t.line(line => line.msg.includes('reloaded') && line['issuers'] === issuers)

async function letRegister(mode: 'off' | 'pending' | 'active'): Promise<void> {
  const reloads = () => t.lines.filter(line => line.msg.includes('reloaded')).length
  const before = reloads()
  t.roll.registry.sqlite.prepare('UPDATE trust_anchors SET proven_at = 1').run()
  const settings = { mode, nameTemplate: `\${cn}`, perMinuteMax: 60, devicesMax: 1_000 }
  await t.roll.writer.setAutoRegistration(makerId, settings, tester)
  await until(() => reloads() > before)
}

test('an anchor is trusted at once and no session is dropped; its strangers are refused and not noted', async () => {
  const listed = await t.roll.enroll('d1')
  const client = await mqttClient(t, 'd1', listed)
  const stranger = await maker.issue({ name: 'm-1' })
  assert.equal(await arriveWith(t, stranger), 'cut')
  assert.equal(await reasonOf(fingerprintOf(stranger.der)), 'issuer_unknown')
  await t.roll.writer.addTrustAnchor({ der: maker.der, name: 'maker', parentId: null }, tester)
  await reloaded(3)
  const second = await maker.issue({ name: 'm-2' })
  assert.equal(await arriveWith(t, second), 'cut')
  assert.equal(await reasonOf(fingerprintOf(second.der)), 'certificate_unlisted')
  // One that is put on the roll by hand is admitted through its chain.
  const third = await maker.issue({ name: 'd3' })
  await t.roll.list('d3', third, { issuerId: makerId })
  assert.equal(await attempt(t, { identity: third, connect: { clientId: 'd3' } }), 'connack 0')
  assert.equal(client.connected, true)
  await client.endAsync()
  assert.deepEqual(rows(), [])
})

test('where devices may register themselves, an arrival is noted once and refused; other strangers are strangers', async () => {
  await letRegister('active')
  const stranger = await maker.issue({ name: 'm-3' })
  const fingerprint = fingerprintOf(stranger.der)
  assert.equal(await arriveWith(t, stranger), 'cut')
  assert.equal(await reasonOf(fingerprint), 'registration_started')
  await until(() => rows().length === 1)
  assert.equal(await arriveWith(t, stranger), 'cut')
  assert.deepEqual(rows(), [{ fingerprint, issuer_id: makerId, address: '127.0.0.1' }])

  await t.roll.writer.refuseArrival(fingerprint, 'device_exists', 'taken')
  assert.equal(await arriveWith(t, stranger), 'cut')
  await t.line(line => line.reason === 'registration_refused' && line.fingerprint === fingerprint)

  // Our own CA lets nobody register: a canary stays one.
  const canary = await t.roll.issuing.issue({ name: 'canary' })
  assert.equal(await arriveWith(t, canary), 'cut')
  assert.equal(await reasonOf(fingerprintOf(canary.der)), 'certificate_unlisted')
  // A CA below the anchor that is not registered itself is no issuer, whatever its signer, and lets nobody register.
  const below = await maker.subordinate('Maker Sub CA')
  const distant = await below.issue({ name: 'm-4' })
  const presented = { ...distant, certificate: `${distant.certificate}\n${below.certificate}` }
  assert.equal(await arriveWith(t, presented), 'cut')
  assert.equal(await reasonOf(fingerprintOf(distant.der)), 'issuer_unknown')
  // An anchor of the same name with another key.
  const forged = await (await createAuthority('Maker CA')).issue({ name: 'm-5' })
  assert.equal(await arriveWith(t, forged), 'cut')
  assert.notEqual(await reasonOf(fingerprintOf(forged.der)), 'registration_started')
  assert.equal(rows().length, 1)
})

test('a disabled anchor lets nobody register', async () => {
  await letRegister('active')
  const reloads = () => t.lines.filter(line => line.msg.includes('reloaded')).length
  const before = reloads()
  await t.roll.writer.setIssuerEnabled(makerId, false, tester)
  await until(() => reloads() > before)
  const stranger = await maker.issue({ name: 'm-6' })
  assert.equal(await arriveWith(t, stranger), 'cut')
  assert.equal(await reasonOf(fingerprintOf(stranger.der)), 'certificate_unlisted')
  await t.roll.writer.setIssuerEnabled(makerId, true, tester)
  assert.deepEqual(rows(), [])
})

test('a flood of strangers with a valid chain is noted up to a bound, and devices on the roll still enter', async () => {
  await letRegister('active')
  const listed = await t.roll.enroll('d9')
  const strangers = await Promise.all(Array.from({ length: 260 }, (_, i) => maker.issue({ name: `f-${i}` })))
  const waiting = [...strangers]
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      for (let one = waiting.pop(); one !== undefined; one = waiting.pop())
        assert.equal(await arriveWith(t, one), 'cut')
    }),
  )
  assert.equal(await attempt(t, { identity: listed, connect: { clientId: 'd9' } }), 'connack 0')
  await until(() => rows().length >= 200)
  assert.equal(rows().length, 200)
})
