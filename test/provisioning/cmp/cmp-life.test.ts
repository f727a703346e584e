// CMP beside what happens to the service and its CA: kill -9 before the confirmation, certificates that have ended, a CA with ML-DSA keys, RSASSA-PSS, and the
// addresses of operations.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { constants, hash, randomBytes, sign, verify, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fingerprintOf } from '../../../pki/certificate-facts.ts'
import { DAY_MS } from '../../../provisioning/ca/profile.ts'
import { bodyTypes } from '../../../provisioning/cmp/message-reader.ts'
import { nothing, octetString, oid, sequence, tagged } from '../../../provisioning/x509/der.ts'
import { makeCsr, type Service, startService, temporaryDirectory } from '../harness.ts'
import { createCmpClient } from './cmp-client.ts'
import { assertRefused, ir, send, tokenFor } from './cmp-exchange.ts'
import * as cmp from './cmp-messages.ts'

const certConf = (certificate: Buffer, ...algorithm: Buffer[]) => ({
  type: bodyTypes.certConf,
  der: sequence(sequence(octetString(hash('sha256', certificate, 'buffer')), cmp.number(0), ...algorithm)),
})

test('kill -9 between ir and certConf: the certificate is on the roll, and the same key gets it again', async () => {
  using folder = temporaryDirectory()
  const first = await startService({ data: folder.path })
  const { reference, secret } = await tokenFor(first)
  await first[Symbol.asyncDispose]()
  const fixture = new URL('../fixtures/serving.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [fixture, folder.path, '50'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [url] = (await once(child.stdout, 'data', { signal: AbortSignal.timeout(30_000) })) as [Buffer]
  const ca = readFileSync(join(folder.path, 'ca.crt'), 'utf8')
  const transactionId = randomBytes(16)
  const key = cmp.newKey()
  const by = cmp.pbm(reference, secret)
  const asked = (id: Buffer) =>
    cmp.message(by, { body: ir(cmp.certificateRequest({ key })), transactionId: id })
  const reply = await send({ url: url.toString().trim(), ca } as Service, asked(transactionId))
  const certificate = cmp.certificateIn(reply)
  child.kill('SIGKILL')
  await once(child, 'exit')

  await using service = await startService({ data: folder.path })
  const listed = await service.call('GET', `/v1/certificates/${fingerprintOf(certificate)}`)
  assert.deepEqual([listed.body.deviceId, listed.body.status], ['pump-1', 'issued'])
  const late = cmp.message(by, { transactionId, recipNonce: reply.senderNonce, body: certConf(certificate) })
  await assertRefused(service, late, 'badRequest', /no such transaction of this sender is open/)
  assert.deepEqual(cmp.certificateIn(await send(service, asked(randomBytes(16)))), certificate)
  assert.equal((await service.call('GET', '/v1/certificates?deviceId=pump-1')).body.items.length, 1)
})

test('a certificate that has ended renews by EST alone, where that is set: kur is refused', async () => {
  let offset = -120 * DAY_MS
  await using service = await startService({ now: () => Date.now() + offset, renewExpiredDays: 30 })
  const { csr, key } = makeCsr('p256')
  const { certificate } = await service.enroll('pump-1', csr)
  offset = -20 * DAY_MS
  const by = cmp.signature(certificate, key)
  const kur = { type: bodyTypes.kur, der: sequence(cmp.certificateRequest({})) }
  const why = /admission_refused: .*certificate_expired/
  await assertRefused(service, cmp.message(by, { body: kur }), 'signerNotTrusted', why)
  assert.equal((await service.call('GET', '/v1/certificates?deviceId=pump-1')).body.items.length, 1)
})

test('a CA with ML-DSA keys signs its answers, and its certificates are confirmed by a hash that is named', async () => {
  const type = 'ml-dsa-65'
  await using service = await startService({ pq: 'issue', keyTypes: { root: type, issuing: type } })
  const { reference, secret } = await tokenFor(service)
  const key = cmp.newKey()
  const transactionId = randomBytes(16)
  const by = cmp.pbm(reference, secret)
  const reply = await send(
    service,
    cmp.message(by, { transactionId, body: ir(cmp.certificateRequest({ key })) }),
  )
  const certificate = cmp.certificateIn(reply)
  const issuing = new X509Certificate(readFileSync(join(service.directory, 'issuing.crt')))
  assert.ok(new X509Certificate(certificate).verify(issuing.publicKey))
  const recipNonce = reply.senderNonce
  const named = certConf(certificate, tagged(0, sequence(oid(cmp.SHA256))))
  const confirmed = await send(service, cmp.message(by, { pvno: 3, transactionId, recipNonce, body: named }))
  assert.equal(confirmed.bodyType, bodyTypes.pkiconf)

  const pem = new X509Certificate(certificate).toString()
  const certified = cmp.signature(pem, key.export({ type: 'pkcs8', format: 'pem' }).toString())
  const inform = { type: bodyTypes.genm, der: sequence(sequence(oid('1.3.6.1.5.5.7.4.17'))) }
  const signed = await send(service, cmp.message(certified, { body: inform }))
  assert.equal(signed.protectionOid, '2.16.840.1.101.3.4.3.18')
  assert.ok(verify(null, signed.protectedPart, issuing.publicKey, signed.protection))
})

test('RSASSA-PSS protects a message with SHA-2 alone, the same in MGF1', async () => {
  await using service = await startService({ failuresPerMinuteMax: 1_000 })
  const { csr, key } = makeCsr('rsa2048')
  const { certificate } = await service.enroll('pump-1', csr)
  const inform = { type: bodyTypes.genm, der: sequence(sequence(oid('1.3.6.1.5.5.7.4.17'))) }
  const SHA1 = '1.3.14.3.2.26'
  const SHA384 = '2.16.840.1.101.3.4.2.2'
  type Twist = { digest?: string; mask?: string; name?: string; salt?: number; saltSigned?: number }
  function pss({
    digest = cmp.SHA256,
    mask,
    name = 'sha256',
    salt = 32,
    saltSigned,
  }: Twist = {}): cmp.Protector {
    const algorithm = (id: string) => sequence(oid(id), nothing())
    const generator = sequence(oid('1.2.840.113549.1.1.8'), algorithm(mask ?? digest))
    const parameters = sequence(
      tagged(0, algorithm(digest)),
      tagged(1, generator),
      tagged(2, cmp.number(salt)),
    )
    return {
      ...cmp.signature(certificate, key),
      algorithm: sequence(oid('1.2.840.113549.1.1.10'), parameters),
      protect: bytes =>
        sign(name, bytes, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: saltSigned ?? salt }),
    }
  }
  for (const by of [pss(), pss({ digest: SHA384, name: 'sha384', salt: 48 })])
    assert.equal((await send(service, cmp.message(by, { body: inform }))).bodyType, bodyTypes.genp)
  const refused = (by: cmp.Protector, failure: 'badAlg' | 'badMessageCheck') =>
    assertRefused(service, cmp.message(by, { body: inform }), failure, /signature/)
  await refused(pss({ salt: 20, saltSigned: 32 }), 'badMessageCheck')
  await refused(pss({ name: 'sha384' }), 'badMessageCheck')
  await refused(pss({ digest: SHA1, name: 'sha1' }), 'badAlg')
  await refused(pss({ mask: SHA384 }), 'badAlg')
  await refused({ ...pss(), algorithm: sequence(oid('1.2.840.113549.1.1.10')) }, 'badAlg')
  await refused({ ...pss(), algorithm: sequence(oid('1.2.840.113549.1.1.10'), sequence()) }, 'badAlg')
})

test('an operation of RFC 9483 has an address of its own, which takes its message and what goes on with it', async () => {
  await using service = await startService()
  using client = createCmpClient(service)
  const token = await client.token({ group: 'pumps' })
  const asked = [
    ...token,
    '-newkey',
    client.key('device.key'),
    '-subject',
    '/CN=pump-1',
    '-certout',
    'device.crt',
  ]
  const other = await client.run('ir', asked, '/keyupdate')
  assert.match(
    other.output,
    /badRequest; StatusString: "the address is for another message than this: \/keyupdate/,
  )
  const enrolled = await client.run('ir', asked, '/p/pumps/initialization')
  assert.equal(enrolled.code, 0, enrolled.output)
  assert.match(enrolled.output, /received PKICONF/)
  const certified = ['-cert', 'device.crt', '-key', 'device.key']
  const inform = await client.run('genm', ['-infotype', 'caCerts', ...certified], '/getcacerts')
  assert.equal(inform.code, 0, inform.output)
  const unknown = await client.run('genm', ['-infotype', 'caCerts', ...certified], '/getcrls')
  assert.equal(unknown.code, 1)
  const revoked = await client.run('rr', [...certified, '-oldcert', 'device.crt'], '/revocation')
  assert.equal(revoked.code, 0, revoked.output)
})
