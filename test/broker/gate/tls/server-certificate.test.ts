// The server certificate: taken anew while connections stand, and never loosened by a bad file.
import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { usage } from '../../../harness/authority.ts'
import { attempt, openTls, startTestBroker, type TestBroker } from '../../../harness/broker.ts'
import { rawSession } from '../../../harness/raw-client.ts'
import { tester } from '../../../harness/roll.ts'

let t: TestBroker
beforeEach(async () => {
  t = await startTestBroker()
})
afterEach(() => t.close())

async function serialSeen(): Promise<string> {
  const socket = await openTls(t, {})
  const { serialNumber } = socket.getPeerCertificate()
  socket.destroy()
  return serialNumber.toLowerCase()
}

async function replaceCertificate(serialNumber: string, notAfter?: Date): Promise<void> {
  const fresh = await t.roll.issuing.issue({
    name: 'localhost',
    usages: [usage.serverAuth],
    serialNumber,
    ...(notAfter ? { notBefore: new Date(0), notAfter } : {}),
  })
  writeFileSync(join(t.roll.data, 'keys', 'server.key'), fresh.key)
  writeFileSync(join(t.roll.data, 'server.crt'), `${fresh.certificate}\n${t.roll.issuing.certificate}\n`)
}

test('a renewed one is shown to newcomers, and nobody inside is dropped', async () => {
  const device = await t.roll.enroll('d1')
  const standing = await rawSession(t, device, { clientId: 'd1' })
  await replaceCertificate('11'.repeat(8))
  t.broker.reload()
  assert.equal(await serialSeen(), '11'.repeat(8))
  assert.equal(standing.destroyed, false)
  standing.destroy()
})

test('a renewed one is noticed on disk without being told', async () => {
  await replaceCertificate('22'.repeat(8))
  await t.line(line => line.msg === 'server certificate and trust anchors reloaded')
  assert.equal(await serialSeen(), '22'.repeat(8))
})

const spoiled: [what: string, spoil: () => Promise<void> | void][] = [
  ['a missing key', () => rmSync(join(t.roll.data, 'keys', 'server.key'))],
  [
    'a key of another certificate',
    async () =>
      writeFileSync(join(t.roll.data, 'keys', 'server.key'), (await t.roll.issuing.issue({ name: 'x' })).key),
  ],
  ['a certificate that is none', () => writeFileSync(join(t.roll.data, 'server.crt'), 'noise')],
  ['an expired certificate', () => replaceCertificate('33'.repeat(8), new Date(Date.now() - 1_000))],
]

for (const [what, spoil] of spoiled) {
  test(`threat 16: ${what} changes nothing at a reload, and a broker does not start with it`, async () => {
    const device = await t.roll.enroll('d1')
    const before = await serialSeen()
    await spoil()
    t.broker.reload()
    await t.line(line => line.msg.includes('not reloaded'))
    assert.equal(await serialSeen(), before)
    assert.equal(await attempt(t, { connect: { clientId: 'd1' } }), 'cut', 'a stranger stays a stranger')
    assert.equal(await attempt(t, { identity: device, connect: { clientId: 'd1' } }), 'connack 0')
    await assert.rejects(startTestBroker({ roll: t.roll, nodeId: 'second' }))
  })
}

test('an issuer registered while the broker runs is trusted at once', async () => {
  const other = await t.roll.root.subordinate('Second Issuing CA')
  const issuer = { der: other.der, name: 'second', kind: 'issuing', parentId: t.roll.rootId } as const
  const issuerId = await t.roll.writer.addIssuer(issuer, tester)
  await t.line(line => line['issuers'] === 3)
  const device = await other.issue({ name: 'd1' })
  await t.roll.list('d1', device, { issuerId })
  assert.equal(await attempt(t, { identity: device, connect: { clientId: 'd1' } }), 'connack 0')
})
