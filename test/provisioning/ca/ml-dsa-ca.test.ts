// Every way in and out of a service whose root and issuing CA have ML-DSA keys: one-time tokens, EST, imports, CRL and OCSP.
import assert from 'node:assert/strict'
import { verify, X509Certificate } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { makeKey, makeRequest } from '../../../cli/enrollment/key-pair.ts'
import { keyPem, mlDsaTypes, pqAuthority, pqKey, pqLeaf, pqRequest } from '../../harness/ml-dsa.ts'
import { ask, type Identity } from '../device-requests.ts'
import { type Service, startService, temporaryDirectory } from '../harness.ts'
import { imported } from '../jobs/uploads.ts'
import { fetchCrl, pointersOf, run } from '../revocation/status.ts'
import { extensions, requesting } from '../x509/csr-forge.ts'

const EST = '/.well-known/est'
const base64Of = (csr: string) => csr.replace(/-----.*-----|\s/g, '')
const pkcs10 = { 'content-type': 'application/pkcs10' }

describe('a service whose CAs have ML-DSA keys', () => {
  const folder = temporaryDirectory()
  let service: Service
  let now = Date.now()
  before(async () => {
    const keyTypes = { root: 'ml-dsa-65', issuing: 'ml-dsa-65' } as const
    service = await startService({ pq: 'issue', keyTypes, now: () => now })
  })
  after(async () => {
    await service[Symbol.asyncDispose]()
    folder[Symbol.dispose]()
  })
  const tokenFor = async (deviceId: string) => {
    await service.call('POST', '/v1/devices', { id: deviceId })
    return (await service.call('POST', '/v1/enrollment-tokens', { deviceId })).body.token
  }

  it('signs its CRL, and its OCSP responder answers for what it issued', async () => {
    const key = pqKey('ml-dsa-65')
    const issued = await service.enroll('o', await makeRequest('o', keyPem(key), 'ml-dsa-65'))
    const issuing = new X509Certificate(issued.chain[0])
    const crl = await fetchCrl(issued.certificate)
    const { list, signature } = parts(crl)
    assert.equal(verify(null, list, issuing.publicKey, signature), true)

    const at = (name: string, content: string) => {
      writeFileSync(join(folder.path, name), content)
      return join(folder.path, name)
    }
    // OpenSSL 3.0 reads the answer, and cannot verify what an ML-DSA CA signed.
    const flags = [
      ...['ocsp', '-issuer', at('issuing.pem', issued.chain[0]), '-cert', at('leaf.pem', issued.certificate)],
      ...['-url', pointersOf(issued.certificate).ocsp, '-noverify'],
    ]
    assert.match((await run('openssl', flags)).output, /leaf.pem: good/)
    await service.call('POST', `/v1/certificates/${issued.fingerprint}/revoke`, { reason: 'keyCompromise' })
    assert.match((await run('openssl', flags)).output, /leaf.pem: revoked[\s\S]*keyCompromise/)
    const responders = readdirSync(service.directory).filter(name => /^ocsp-.*\.crt$/.test(name))
    assert.equal(responders.length, 1)
    const responder = new X509Certificate(readFileSync(join(service.directory, responders[0]!)))
    assert.equal(responder.verify(issuing.publicKey), true)
  })

  it('enrolls by a one-time token, and gives the same answer again', async () => {
    const csr = await makeRequest('t', await makeKey('ml-dsa-87'), 'ml-dsa-87')
    const headers = { authorization: `Bearer ${await tokenFor('t')}` }
    const first = await ask(service, null, 'POST', '/v1/enroll', { csr }, headers)
    const again = await ask(service, null, 'POST', '/v1/enroll', { csr }, headers)
    assert.deepEqual([first.status, again.body.fingerprint], [201, first.body.fingerprint])
    assert.equal(first.body.keyType, 'ml-dsa-87')
    assert.equal(new X509Certificate(first.body.chain[0]).publicKey.asymmetricKeyType, 'ml-dsa-65')
  })

  it('enrolls and renews by EST, by the ML-DSA certificate of the device', async () => {
    const key = await makeKey('ml-dsa-44')
    const basic = Buffer.from(`e:${await tokenFor('e')}`).toString('base64')
    const enrolled = await ask(
      ...([service, null, 'POST', `${EST}/simpleenroll`] as const),
      base64Of(await makeRequest('e', key, 'ml-dsa-44')),
      { ...pkcs10, authorization: `Basic ${basic}` },
    )
    assert.equal(enrolled.status, 200, enrolled.bytes.toString())
    const { items } = (await service.call('GET', '/v1/certificates?deviceId=e')).body
    const { certificate } = (await service.call('GET', `/v1/certificates/${items[0].fingerprint}`)).body
    now += 61 * 86_400_000
    const csr = await makeRequest('e', await makeKey('ml-dsa-65'), 'ml-dsa-65')
    const renewed = await ask(service, { certificate, key }, 'POST', '/v1/self/certificates', { csr })
    assert.deepEqual([renewed.status, renewed.body.keyType], [201, 'ml-dsa-65'])
    const named = await ask(
      ...([service, { certificate, key }, 'POST', `${EST}/simplereenroll`] as const),
      base64Of(csr),
      pkcs10,
    )
    // The request of the command line has no subjectAltName, which EST wants as the certificate has it.
    assert.equal(named.body.reason, 'csr_names_changed')
  })

  it('re-enrolls by EST from ML-DSA-44 to ML-DSA-65, and the new certificate re-enrolls in its turn', async () => {
    const request = (type: 'ml-dsa-44' | 'ml-dsa-65') => {
      const key = pqKey(type)
      const san = extensions.uri('urn:rollcall:device:r')
      return { csr: pqRequest('r', key, [requesting(san)]), key: keyPem(key) }
    }
    const issuedTo = async (type: string) => {
      const { items } = (await service.call('GET', '/v1/certificates?deviceId=r')).body
      const { fingerprint } = items.find(({ keyType }: { keyType: string }) => keyType === type)
      return (await service.call('GET', `/v1/certificates/${fingerprint}`)).body.certificate
    }
    const reenroll = (device: Identity | null, csr: string) =>
      ask(service, device, 'POST', `${EST}/simplereenroll`, base64Of(csr), pkcs10)
    const first = request('ml-dsa-44')
    await service.call('POST', '/v1/devices', { id: 'r' })
    await service.call('POST', '/v1/devices/r/certificates', { csr: first.csr })
    const device = { certificate: await issuedTo('ml-dsa-44'), key: first.key }
    const second = request('ml-dsa-65')
    assert.equal((await reenroll(device, second.csr)).body.reason, 'renewal_too_early')
    now += 61 * 86_400_000
    const answer = await reenroll(device, second.csr)
    assert.deepEqual([answer.status, answer.type], [200, 'application/pkcs7-mime; smime-type=certs-only'])
    const renewed = { certificate: await issuedTo('ml-dsa-65'), key: second.key }
    const { raw } = new X509Certificate(renewed.certificate)
    assert.ok(Buffer.from(answer.bytes.toString(), 'base64').includes(raw))
    now += 61 * 86_400_000
    assert.equal((await reenroll(renewed, request('ml-dsa-44').csr)).status, 200)
    const stranger = pqLeaf('r', pqKey('ml-dsa-65'), null)
    assert.equal((await reenroll(stranger, request('ml-dsa-65').csr)).body.reason, 'admission_refused')
  })

  it('imports certificates with ML-DSA keys, pinned and under a trust anchor', async () => {
    const ca = pqAuthority('Post-quantum Maker', pqKey('ml-dsa-65'))
    assert.equal((await service.call('POST', '/v1/issuers', { certificate: ca.certificate })).status, 201)
    const rows = mlDsaTypes.flatMap(type => [
      { deviceId: `c-${type}`, certificate: pqLeaf(`c-${type}`, pqKey(type), ca).certificate },
      {
        deviceId: `p-${type}`,
        certificate: pqLeaf(`p-${type}`, pqKey(type), null).certificate,
        trust: 'pinned',
      },
    ])
    const { results } = await imported(service, rows)
    assert.deepEqual(
      results.map(({ outcome }) => outcome),
      rows.map(() => 'listed'),
    )
    const refused = await imported(service, [
      {
        deviceId: 'slh',
        certificate: pqLeaf('slh', pqKey('slh-dsa-sha2-128s'), null).certificate,
        trust: 'pinned',
      },
    ])
    assert.match(JSON.stringify(refused.results), /SLH-DSA-SHA2-128s, with which TLS cannot authenticate/)
  })
})

/** What of a CertificateList (RFC 5280 §5.1) was signed, and the signature. */
function parts(der: Buffer): { list: Buffer; signature: Buffer } {
  const lengthAt = (at: number): [number, number] => {
    const first = der[at + 1]!
    const octets = first < 0x80 ? 0 : first & 0x7f
    return [2 + octets, octets === 0 ? first : der.readUIntBE(at + 2, octets)]
  }
  const [outer] = lengthAt(0)
  const [header, length] = lengthAt(outer)
  const algorithm = outer + header + length
  const [algorithmHeader, algorithmLength] = lengthAt(algorithm)
  const bits = algorithm + algorithmHeader + algorithmLength
  const [bitsHeader] = lengthAt(bits)
  return { list: der.subarray(outer, algorithm), signature: der.subarray(bits + bitsHeader + 1) }
}
