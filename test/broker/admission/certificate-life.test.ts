// Certificates that follow each other on real connections: superseded at the first CONNECT of the new, cut at the end of
// their grace, held, and sessions that end with their issuer or their age.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createBrokerNotes } from '../../../db/broker-notes.ts'
import { awaitReceipt } from '../../../db/change-feed.ts'
import {
  attempt,
  longTimeouts,
  mqttClient,
  returningClient,
  startTestBroker,
  type TestBroker,
} from '../../harness/broker.ts'
import { enrollFleet } from '../../harness/fleet.ts'
import { openInbox } from '../../harness/inbox.ts'
import { ended, rawSession, subscribePacket } from '../../harness/raw-client.ts'
import { tester } from '../../harness/roll.ts'
import { until } from '../../harness/until.ts'

const DAY_MS = 86_400_000
/** How long an acknowledgement may take on a machine that is busy with others. */
const ACKNOWLEDGED_MS = 30_000

const statusOf = (t: TestBroker, fingerprint: string) =>
  t.roll.registry.sqlite
    .prepare('SELECT status, grace_until AS graceUntil FROM certificates WHERE fingerprint = ?')
    .get(fingerprint) as { status: string; graceUntil: number | null }

async function renewal(t: TestBroker, id: string, compromise = false) {
  const identity = await t.roll.issuing.issue({ name: id })
  const listing = {
    der: identity.der,
    deviceId: id,
    issuerId: t.roll.issuerId,
    trust: 'chained',
    status: 'issued',
    action: 'certificate.register',
    compromise,
  } as const
  return { ...identity, fingerprint: await t.roll.writer.listCertificate(listing, tester) }
}

test('the first CONNECT of the new certificate supersedes the old, which is admitted until its grace ends', async () => {
  let ahead = 0
  const t = await startTestBroker({ now: () => Date.now() + ahead })
  try {
    const old = await t.roll.enroll('d1')
    ;(await rawSession(t, old, { clientId: 'd1' })).destroy()
    await until(() => statusOf(t, old.fingerprint).status === 'active')
    const fresh = await renewal(t, 'd1')
    assert.equal(await attempt(t, { identity: old, connect: { clientId: 'd1' } }), 'connack 0')
    assert.equal(statusOf(t, old.fingerprint).status, 'active', 'listing the new one ends nothing')
    ;(await rawSession(t, fresh, { clientId: 'd1' })).destroy()
    await until(() => statusOf(t, old.fingerprint).status === 'superseded')
    assert.equal(statusOf(t, fresh.fingerprint).status, 'active')
    const { graceUntil } = statusOf(t, old.fingerprint)
    assert.ok(Math.abs(graceUntil! - Date.now() - DAY_MS) < 60_000)
    const standing = await rawSession(t, old, { clientId: 'd1', keepalive: 0 })
    ahead = DAY_MS - 60_000
    assert.equal(await attempt(t, { identity: fresh, connect: { clientId: 'd1' } }), 'connack 0')
    await ended(standing) // taken over by its device
    const last = await rawSession(t, old, { clientId: 'd1', keepalive: 0 })
    ahead = DAY_MS + 1_000
    await ended(last)
    assert.equal(await attempt(t, { identity: old, connect: { clientId: 'd1' } }), 'connack 5')
    assert.equal(await attempt(t, { identity: fresh, connect: { clientId: 'd1' } }), 'connack 0')
  } finally {
    await t.close()
  }
})

test('a session that is inside when its certificate is superseded ends with the grace, too', async () => {
  let ahead = 0
  const t = await startTestBroker({ now: () => Date.now() + ahead })
  try {
    const old = await t.roll.enroll('d1')
    const standing = await rawSession(t, old, { clientId: 'd1', keepalive: 0 })
    await until(() => statusOf(t, old.fingerprint).status === 'active')
    const fresh = await renewal(t, 'd1')
    // As another broker notes it: this one learns of it from the change feed.
    const note = { fingerprint: fresh.fingerprint, deviceId: 'd1', at: Date.now() }
    createBrokerNotes(t.roll.registry).uses([note])
    const epoch = t.roll.registry.sqlite.prepare('SELECT max(epoch) FROM changes').pluck().get() as number
    assert.equal((await awaitReceipt(t.roll.registry, epoch, ACKNOWLEDGED_MS)).sessionsCut, 0)
    assert.equal(standing.destroyed, false)
    ahead = DAY_MS + 1
    await ended(standing)
    await t.line(line => line.msg === 'cut' && line.reason === 'certificate_superseded')
  } finally {
    await t.close()
  }
})

test('there is no grace where the new certificate is there for a compromised key', async () => {
  const t = await startTestBroker()
  try {
    const old = await t.roll.enroll('d1')
    ;(await rawSession(t, old, { clientId: 'd1' })).destroy()
    await until(() => statusOf(t, old.fingerprint).status === 'active')
    const fresh = await renewal(t, 'd1', true)
    assert.equal(await attempt(t, { identity: old, connect: { clientId: 'd1' } }), 'connack 0')
    ;(await rawSession(t, fresh, { clientId: 'd1' })).destroy()
    await until(() => statusOf(t, old.fingerprint).status === 'superseded')
    assert.equal(await attempt(t, { identity: old, connect: { clientId: 'd1' } }), 'connack 5')
  } finally {
    await t.close()
  }
})

test('a held certificate is cut, refused and kept a session for; let go, it finds its session again', async () => {
  const t = await startTestBroker()
  try {
    const device = await t.roll.enroll('d1')
    const standing = await rawSession(t, device, { clientId: 'd1', clean: false, keepalive: 0 })
    standing.write(subscribePacket(1, ['devices/d1/#'], 1))
    await until(() => statusOf(t, device.fingerprint).status === 'active')
    const held = await t.roll.writer.suspendCertificate(device.fingerprint, tester)
    assert.equal((await awaitReceipt(t.roll.registry, held, ACKNOWLEDGED_MS)).sessionsCut, 1)
    await ended(standing)
    assert.equal(await attempt(t, { identity: device, connect: { clientId: 'd1' } }), 'connack 5')
    const released = await t.roll.writer.activateCertificate(device.fingerprint, tester)
    await awaitReceipt(t.roll.registry, released, ACKNOWLEDGED_MS)
    const { client, sessionPresent } = await returningClient(t, 'd1', device)
    assert.equal(sessionPresent, true)
    await client.endAsync(true)
  } finally {
    await t.close()
  }
})

test('disabling an issuer cuts a thousand sessions under it, while a device of another comes and stays', async () => {
  const t = await startTestBroker({ settings: longTimeouts })
  try {
    const { root, rootId } = t.roll
    const otherCa = await root.subordinate('Other Issuing CA')
    const issuer = { der: otherCa.der, name: 'other', kind: 'issuing', parentId: rootId } as const
    const otherId = await t.roll.writer.addIssuer(issuer, tester)
    t.broker.reload()
    const neighbour = await otherCa.issue({ name: 'n1' })
    await t.roll.list('n1', neighbour, { issuerId: otherId })
    const chain = { ...neighbour, certificate: `${neighbour.certificate}\n${otherCa.certificate}` }
    const standing = await rawSession(t, chain, { clientId: 'n1', keepalive: 0 })

    const fleet = await enrollFleet(t.roll, 1_000)
    const waiting = fleet.values()
    const sockets: Awaited<ReturnType<typeof rawSession>>[] = []
    await Promise.all(
      Array.from({ length: 50 }, async () => {
        for (const member of waiting)
          sockets.push(await rawSession(t, member, { clientId: member.id, keepalive: 0 }))
      }),
    )
    const epoch = await t.roll.writer.setIssuerEnabled(t.roll.issuerId, false, tester)
    const newcomer = await otherCa.issue({ name: 'n2' })
    await t.roll.list('n2', newcomer, { issuerId: otherId })
    const entering = { ...newcomer, certificate: `${newcomer.certificate}\n${otherCa.certificate}` }
    assert.equal(await attempt(t, { identity: entering, connect: { clientId: 'n2' } }), 'connack 0')
    const receipt = await awaitReceipt(t.roll.registry, epoch, ACKNOWLEDGED_MS)
    assert.deepEqual([receipt.nodesAcknowledged, receipt.sessionsCut], [1, 1_000])
    await Promise.all(sockets.map(ended))
    assert.equal(standing.destroyed, false)
    const refused = { identity: fleet[0]!, connect: { clientId: fleet[0]!.id } }
    assert.equal(await attempt(t, refused), 'connack 5')
    const again = await t.roll.writer.setIssuerEnabled(t.roll.issuerId, true, tester)
    await awaitReceipt(t.roll.registry, again, ACKNOWLEDGED_MS)
    assert.equal(await attempt(t, refused), 'connack 0')
  } finally {
    await t.close()
  }
})

test('a session lasts as long as maxSessionAgeMs; its will is sent, and its device comes back at once', async () => {
  // It holds for the backend as well, which must subscribe before it is over.
  const t = await startTestBroker({ settings: { maxSessionAgeMs: 5_000 } })
  try {
    const device = await t.roll.enroll('d1')
    const will = { topic: 'devices/d1/gone', payload: 'gone', retain: true }
    const aging = await rawSession(t, device, { clientId: 'd1', will, keepalive: 0 })
    await ended(aging)
    const backend = await mqttClient(t, 'b1', await t.roll.enroll('b1', { groups: ['backend'] }))
    const inbox = openInbox(backend)
    await backend.subscribeAsync('devices/#')
    await inbox.message('gone')
    await t.line(line => line.reason === 'session_too_old' && line.deviceId === 'd1')
    assert.equal(await attempt(t, { identity: device, connect: { clientId: 'd1' } }), 'connack 0')
    await backend.endAsync(true)
  } finally {
    await t.close()
  }
})
