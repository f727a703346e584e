// Trust anchors through the API: what may become one, how possession is proven, and what is not switched on without.
import 'reflect-metadata'
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import {
  BasicConstraintsExtension,
  type JsonNameParams,
  Name,
  X509CertificateGenerator,
} from '@peculiar/x509'
import { fingerprintOf } from '../../../pki/certificate-facts.ts'
import { createAuthority, makeKeyPair } from '../../harness/authority.ts'
import {
  type Authority,
  assertProblem,
  makeForeignCa,
  type Service,
  selfSigned,
  signedBy,
  startService,
} from '../harness.ts'

const caExtensions = (more: string) => ['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', more]
const idOf = (pem: string) => fingerprintOf(new X509Certificate(pem).raw)

async function challengeOf(service: Service, id: string): Promise<string> {
  const answer = await service.call('POST', `/v1/issuers/${id}/challenge`)
  assert.equal(answer.status, 201, answer.text)
  assert.match(answer.body.nonce, /^[0-9a-f]{64}$/)
  return answer.body.nonce
}

const prove = (service: Service, id: string, certificate: string) =>
  service.call('POST', `/v1/issuers/${id}/proof`, { certificate })

test('a CA is registered once, shown with its standing, and links to the registered CA above it', async () => {
  await using service = await startService()
  const root = await createAuthority('Maker Root')
  const sub = await root.subordinate('Maker Device CA')
  const added = await service.call('POST', '/v1/issuers', {
    certificate: root.certificate,
    name: 'maker-root',
  })
  assert.equal(added.status, 201, added.text)
  const rootId = idOf(root.certificate)
  assert.deepEqual(
    [added.body.id, added.body.kind, added.body.name, added.headers['location']],
    [rootId, 'foreign', 'maker-root', `/v1/issuers/${rootId}`],
  )
  assert.equal(added.body.nodesTotal, 0)
  const below = await service.call('POST', '/v1/issuers', { certificate: sub.certificate })
  assert.deepEqual([below.body.parentId, below.body.name], [rootId, 'CN=Maker Device CA'])
  assertProblem(
    await service.call('POST', '/v1/issuers', { certificate: root.certificate }),
    409,
    'issuer_exists',
  )
  assertProblem(await service.call('POST', '/v1/issuers', { certificate: service.ca }), 409, 'issuer_own')
  const { body } = await service.call('GET', `/v1/issuers/${rootId}`)
  assert.deepEqual([body.certificate.trim(), body.anchor.provenAt], [root.certificate.trim(), null])
  assert.deepEqual(body.anchor.autoRegistration, {
    mode: 'off',
    nameTemplate: `\${cn}`,
    perMinuteMax: 60,
    devicesMax: 1_000,
    devicesRegistered: 0,
  })
  assertProblem(await service.call('GET', `/v1/issuers/${'0'.repeat(64)}`), 404, 'issuer_unknown')
  const audited = await service.call('GET', `/v1/audit?action=issuer.add&target=${rootId}`)
  assert.equal(audited.body.items.length, 1)
})

test('a CA is another one where its name or its key is, whatever string types the name is written in', async () => {
  await using service = await startService()
  const keyPair = await makeKeyPair('p256')
  const named = async (name: string | JsonNameParams) => {
    const pem = (await createSelfSigned(new Name(name), keyPair)).toString('pem')
    return (await service.call('POST', '/v1/issuers', { certificate: pem })).status
  }
  assert.equal(await named([{ CN: [{ utf8String: 'Maker' }], O: [{ utf8String: 'Works' }] }]), 201)
  assert.equal(await named([{ CN: [{ printableString: 'Maker' }], O: [{ ia5String: 'Works' }] }]), 409)
  // Two attributes of one relative name, which some print as two names.
  assert.equal(await named([{ CN: [{ utf8String: 'Maker' }] }, { O: [{ utf8String: 'Works' }] }]), 201)
  assert.equal(await named('CN=Maker'), 201)
})

test('what is no CA, or one we could not hold to its own limits, is refused with what is wrong', async t => {
  await using service = await startService()
  const ca = makeForeignCa()
  const usage = 'keyUsage=keyCertSign,cRLSign'
  const twin = signedBy(ca, '/CN=Foreign CA', `basicConstraints=CA:TRUE\n${usage}`)
  const rows: [string, string, RegExp][] = [
    ['a private key with it', ca.certificate + ca.key, /private key/],
    ['two certificates', ca.certificate + service.ca, /it holds 2/],
    ['no certificate', 'hello', /it holds 0/],
    ['garbage', ca.certificate.replace(/\n.{20}/, '\nMIIBAAAAAAAAAAAAAAAA'), /not a DER|it holds 0/],
    ['a leaf', selfSigned('leaf', ['-addext', 'basicConstraints=CA:FALSE']).certificate, /CA must be TRUE/],
    ['no keyCertSign', selfSigned('x', caExtensions('keyUsage=cRLSign')).certificate, /keyCertSign/],
    ['RSA 1024', selfSigned('x', caExtensions(usage), 'rsa1024').certificate, /rsa1024/],
    ['P-521', selfSigned('x', caExtensions(usage), 'p521').certificate, /P-521/],
    ['RSA with exponent 3', selfSigned('x', caExtensions(usage), 'rsa2048e3').certificate, /exponent is 3/],
    [
      'name constraints',
      selfSigned('x', [
        ...caExtensions(usage),
        '-addext',
        'nameConstraints=critical,permitted;DNS:example.net',
      ]).certificate,
      /name constraints are not enforced/,
    ],
    [
      'a CA for servers only',
      selfSigned('x', [...caExtensions(usage), '-addext', 'extendedKeyUsage=serverAuth']).certificate,
      /clientAuth/,
    ],
    [
      'an expired CA',
      (await createAuthority('x', { notAfter: new Date(Date.now() - 1_000) })).certificate,
      /expired/,
    ],
    [
      'one of tomorrow',
      (await createAuthority('x', { notBefore: new Date(Date.now() + 86_400_000) })).certificate,
      /not valid before/,
    ],
    ['one named as its own issuer, signed by another key', twin, /did not sign it/],
  ]
  for (const [name, certificate, words] of rows) {
    await t.test(name, async () => {
      const answer = await service.call('POST', '/v1/issuers', { certificate })
      assertProblem(answer, 400, 'issuer_invalid')
      assert.match(answer.body.detail, words)
    })
  }
  const { body } = await service.call('GET', '/v1/issuers')
  assert.equal(body.items.filter((issuer: { kind: string }) => issuer.kind === 'foreign').length, 0)
})

test('possession is proven by the nonce alone, in time, once; then devices may be let to register themselves', async () => {
  let now = Date.now()
  await using service = await startService({ now: () => now })
  const ca = makeForeignCa()
  const id = idOf(ca.certificate)
  await service.call('POST', '/v1/issuers', { certificate: ca.certificate })
  const set = (body: unknown) => service.call('PUT', `/v1/issuers/${id}/registration`, body)
  assertProblem(await set({ mode: 'active' }), 409, 'possession_unproven')
  assertProblem(await prove(service, id, signedBy(ca, '/CN=x')), 409, 'challenge_missing')

  const old = await challengeOf(service, id)
  const nonce = await challengeOf(service, id)
  const other: Authority = makeForeignCa()
  const wrong: [string, string][] = [
    ['the nonce of an older challenge', signedBy(ca, `/CN=${old}`)],
    ['a second common name', signedBy(ca, `/CN=${nonce}/CN=x`)],
    ['the nonce beside another name', signedBy(ca, `/O=${nonce}/CN=x`)],
    ['the nonce in a SAN only', signedBy(ca, '/CN=x', `subjectAltName=DNS:${nonce}`)],
    ['another CA of the same name', signedBy(other, `/CN=${nonce}`)],
    ['a self-signed one', selfSigned(nonce).certificate],
    ['the private key with it', signedBy(ca, `/CN=${nonce}`) + ca.key],
  ]
  for (const [name, certificate] of wrong) {
    const answer = await prove(service, id, certificate)
    assertProblem(answer, 400, 'proof_invalid')
    assert.doesNotMatch(answer.text, /BEGIN/, name)
  }
  const right = signedBy(ca, `/CN=${nonce}`, 'basicConstraints=CA:FALSE', ['-days', '30'])
  now += 24 * 3_600_000
  assertProblem(await prove(service, id, right), 409, 'challenge_missing')
  now -= 1
  const proven = await prove(service, id, right)
  assert.equal(proven.status, 200, proven.text)
  assert.equal(proven.body.verificationCertificate, idOf(right))
  assertProblem(await prove(service, id, right), 409, 'challenge_missing')

  const chosen = await set({ mode: 'pending', nameTemplate: `maker-\${cn}`, devicesMax: 5 })
  assert.deepEqual(
    [
      chosen.status,
      chosen.body.mode,
      chosen.body.nameTemplate,
      chosen.body.perMinuteMax,
      chosen.body.devicesMax,
    ],
    [200, 'pending', `maker-\${cn}`, 60, 5],
  )
  for (const nameTemplate of [
    'device',
    `\${cn`,
    `\${CN}`,
    `\${toString}`,
    `\${cn}/x`,
    `\${cn} x`,
    `\${cn}é`,
    `\${}`,
  ]) {
    assertProblem(await set({ mode: 'active', nameTemplate }), 400, 'name_template_invalid')
  }
  assertProblem(await set({ mode: 'always' }), 400, 'request_invalid')
  const ours = (await service.call('GET', '/v1/issuers')).body.items.find(
    (issuer: { kind: string }) => issuer.kind === 'root',
  )
  assertProblem(await service.call('POST', `/v1/issuers/${ours.id}/challenge`), 409, 'issuer_own')
})

test('a disabled CA keeps the devices below it out, at every level', async () => {
  await using service = await startService()
  const root = await createAuthority('R')
  const [middle] = [await root.subordinate('M')]
  const issuing = await middle.subordinate('I')
  const fourth = await issuing.subordinate('F')
  const add = (certificate: string) => service.call('POST', '/v1/issuers', { certificate })
  for (const ca of [root, middle, issuing]) assert.equal((await add(ca.certificate)).status, 201)
  const deep = await add(fourth.certificate)
  assertProblem(deep, 400, 'issuer_invalid')
  assert.match(deep.body.detail, /more than 2 registered CAs/)
  await service.call('POST', '/v1/devices', { id: 'pump-1' })
  const leaf = await issuing.issue({ name: 'pump-1' })
  const listed = await service.call('POST', '/v1/devices/pump-1/certificates', {
    certificate: leaf.certificate,
  })
  assert.equal(listed.status, 201, listed.text)
  for (const ca of [root, middle, issuing]) {
    const path = `/v1/issuers/${idOf(ca.certificate)}`
    await service.call('POST', `${path}/disable`)
    const { body } = await service.call('GET', '/v1/devices/pump-1/admission')
    assert.equal(body.reason, 'issuer_disabled')
    await service.call('POST', `${path}/enable`)
  }
  const { body } = await service.call('GET', '/v1/devices/pump-1/admission')
  assert.equal(body.wouldBeAdmitted, true)
})

const tomorrow = new Date(Date.now() + 86_400_000)

function createSelfSigned(name: Name, keys: Awaited<ReturnType<typeof makeKeyPair>>) {
  return X509CertificateGenerator.createSelfSigned({
    name,
    keys,
    notAfter: tomorrow, // one that ends later renews the one before
    extensions: [new BasicConstraintsExtension(true, undefined, true)],
  })
}
