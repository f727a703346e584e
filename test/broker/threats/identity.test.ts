// Others' mistakes about identity, as statements that must hold here.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { afterEach, beforeEach, test } from 'node:test'
import { connect as connectTls, createServer, type TLSSocket } from 'node:tls'
import { createChainVerifier } from '../../../broker/gate/tls/chain-verifier.ts'
import { identifyPeer } from '../../../broker/gate/tls/peer.ts'
import { readIssuers } from '../../../db/issuers/issuer-store.ts'
import { validateLeaf } from '../../../pki/leaf-policy.ts'
import { type Identity, makeKeyPair, usage } from '../../harness/authority.ts'
import { attempt, attemptPlain, mqttClient, startTestBroker, type TestBroker } from '../../harness/broker.ts'
import { openInbox } from '../../harness/inbox.ts'
import { ended } from '../../harness/raw-client.ts'

let t: TestBroker
beforeEach(async () => {
  t = await startTestBroker()
})
afterEach(() => t.close())

test('threat 1: same issuer and serial with another key is somebody else', async () => {
  const serialNumber = '0badc0de'.repeat(4)
  const listed = await t.roll.enroll('d1', { serialNumber })
  const twin = await t.roll.issuing.issue({ name: 'd1', serialNumber })
  assert.equal(await attempt(t, { identity: twin, connect: { clientId: 'd1' } }), 'cut')
  assert.equal((await t.line(line => line.msg === 'refused')).reason, 'certificate_unlisted')
  await assert.rejects(t.roll.list('d1', twin), { code: 'certificate_exists' })
  assert.equal(await attempt(t, { identity: listed, connect: { clientId: 'd1' } }), 'connack 0')
})

test('threat 1: the same key in a certificate that was not listed is somebody else', async () => {
  const keyPair = await makeKeyPair('p256')
  await t.roll.enroll('d1', { keyPair })
  const again = await t.roll.issuing.issue({ name: 'd1', keyPair })
  assert.equal(await attempt(t, { identity: again, connect: { clientId: 'd1' } }), 'cut')
})

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`threat 2: a resumed ${version} session is identified by its certificate or not at all`, async () => {
    const device = await t.roll.enroll('d1')
    const judgeChain = createChainVerifier(readIssuers(t.roll.registry))
    const peers: ReturnType<typeof identifyPeer>[] = []
    const trustless: boolean[] = []
    // What Node claims of a resumed session is not to be believed.
    const server = createServer({
      cert: device.certificate,
      key: device.key,
      ca: [t.roll.root.certificate, t.roll.issuing.certificate],
      requestCert: true,
      rejectUnauthorized: false,
      minVersion: version,
      maxVersion: version,
    })
    server.on('secureConnection', socket => {
      peers.push(identifyPeer(socket, judgeChain))
      trustless.push(socket.isSessionReused() && socket.authorized)
      socket.end('x')
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    const reused: boolean[] = []
    for (const identity of [device, undefined]) {
      const first = await visit(port, identity)
      const second = await visit(port, undefined, first.session)
      reused.push(first.reused, second.reused)
    }
    await new Promise(resolve => server.close(resolve))
    assert.deepEqual(reused, [false, true, false, true])
    assert.equal(trustless[1], true, 'Node calls a session authorized that sent no certificate this time')
    assert.deepEqual(peers, [
      { fingerprint: device.fingerprint, chain: 'verified' },
      { fingerprint: device.fingerprint, chain: 'verified' },
      { fingerprint: null, chain: 'unknown' },
      { fingerprint: null, chain: 'unknown' },
    ])
  })
}

test('threat 3: names never make an identity, however they are written', async () => {
  await t.roll.enroll('d1')
  const victim = { CN: ['d1'] }
  const subjects = [
    [victim, { CN: ['evil'] }],
    [{ CN: ['evil'] }, victim],
    [{ O: ['Rollcall'] }, { OU: ['CN=d1'] }, victim],
    [{ CN: ['evil', 'd1'] }],
    [{ CN: ['d1\0'] }],
    [{ CN: ['evil/CN=d1'] }],
    [{ CN: ['"d1"'] }],
  ]
  for (const [index, subject] of subjects.entries()) {
    const id = `evil-${index}`
    const evil = await t.roll.enroll(id, { subject })
    assert.equal(
      await attempt(t, { identity: evil, connect: { clientId: 'd1' } }),
      'connack 2',
      `as d1 with ${JSON.stringify(subject)}`,
    )
    assert.equal(await attempt(t, { identity: evil, connect: { clientId: id } }), 'connack 0')
  }
})

test('threat 3: NUL in a name is refused at enrollment', async () => {
  const leaf = await t.roll.issuing.issue({ name: 'd1\0.evil' })
  assert.deepEqual(
    validateLeaf(leaf.der, { pinned: false }).map(fault => fault.path),
    ['certificate.subject'],
  )
})

test('threat 4: a certificate inside a payload, a name or a header is no identity', async () => {
  const victim = await t.roll.enroll('victim')
  const evil = await t.roll.enroll('evil')
  const header = `GET / HTTP/1.1\r\nX-Client-Cert: ${encodeURIComponent(victim.certificate)}\r\n\r\n`
  assert.equal((await attemptPlain(t, Buffer.from(header)))[0] ?? 0x15, 0x15)
  const proxyV2 = Buffer.concat([Buffer.from('0d0a0d0a000d0a515549540a21110400', 'hex'), victim.der])
  assert.equal((await attemptPlain(t, proxyV2))[0] ?? 0x15, 0x15)
  const connect = { clientId: 'victim', username: victim.certificate }
  assert.equal(await attempt(t, { identity: evil, connect }), 'connack 2')
  const device = await mqttClient(t, 'evil', evil, { username: victim.certificate })
  const inbox = openInbox(device)
  await device.subscribeAsync('devices/evil/#', { qos: 1 })
  await device.publishAsync('devices/evil/cert', victim.certificate, { qos: 1 })
  await inbox.message(victim.certificate)
  const denied = await device.subscribeAsync('devices/victim/#').catch(error => error)
  assert.match(String(denied), /128|denied|Unspecified/i)
  await device.endAsync()
})

test('threat 6: a client ID opens nothing that the certificate does not', async () => {
  const a = await t.roll.enroll('a')
  const b = await t.roll.enroll('b')
  const session = await mqttClient(t, 'a', a, { clean: false })
  for (const clean of [true, false]) {
    assert.equal(await attempt(t, { identity: b, connect: { clientId: 'a', clean } }), 'connack 2')
    assert.equal(
      await attempt(t, { identity: b, connect: { clientId: 'a', clean, username: 'a' } }),
      'connack 2',
    )
  }
  assert.equal(session.connected, true)
  await session.publishAsync('devices/a/x', 'mine', { qos: 1 })
  await session.endAsync()
})

test('threat 7: nothing but an end-entity certificate for clients may be registered', async () => {
  const faults = async (leaf: Parameters<typeof t.roll.issuing.issue>[0]) =>
    validateLeaf((await t.roll.issuing.issue(leaf)).der, { pinned: false }).map(fault => fault.path)
  assert.deepEqual(await faults({ name: 'd1' }), [])
  assert.deepEqual(await faults({ name: 'd1', ca: true }), ['certificate.basicConstraints'])
  assert.deepEqual(await faults({ name: 'd1', usages: [usage.serverAuth] }), ['certificate.extendedKeyUsage'])
  assert.deepEqual(await faults({ name: 'd1', keyType: 'rsa1024' }), ['certificate.subjectPublicKeyInfo'])
})

async function visit(port: number, identity?: Identity, session?: Buffer) {
  const socket: TLSSocket = connectTls({
    host: '127.0.0.1',
    port,
    rejectUnauthorized: false,
    ...(identity ? { cert: identity.certificate, key: identity.key } : {}),
    ...(session ? { session } : {}),
  })
  let kept: Buffer | undefined
  socket.on('session', fresh => {
    kept = fresh
  })
  await once(socket, 'secureConnect')
  const reused = socket.isSessionReused()
  await ended(socket)
  return { session: kept, reused }
}

test('threat 27: a key revoked for compromise is cut and let in by none of its certificates, nor by what it obtained', async () => {
  const keyPair = await makeKeyPair('p256')
  const first = await t.roll.issuing.issue({ name: 'd1', keyPair })
  const second = await t.roll.issuing.issue({ name: 'd1', keyPair })
  const fingerprint = await t.roll.list('d1', first)
  await t.roll.list('d1', second)
  const client = await mqttClient(t, 'd1', second, { reconnectPeriod: 0 })
  const closed = new Promise<void>(resolve => client.once('close', () => resolve()))
  await t.roll.writer.revokeCertificate(fingerprint, 'keyCompromise', {
    name: 'test',
    kind: 'local' as const,
  })
  await closed
  client.end(true)
  for (const identity of [first, second]) {
    assert.equal(await attempt(t, { identity, connect: { clientId: 'd1' } }), 'connack 5')
  }
})
