// ML-DSA keys by the rules for keys: their names, which are refused and in which words, certificates, anchors and CRLs.
import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { validateAnchor } from '../../pki/anchor-policy.ts'
import { certificateFacts, keyTypeOf } from '../../pki/certificate-facts.ts'
import { verifyChain } from '../../pki/chain.ts'
import { isAcceptableKey, keyTypeProblem } from '../../pki/key-policy.ts'
import { validateLeaf } from '../../pki/leaf-policy.ts'
import { CrlError, readRevocationList } from '../../pki/revocation-list.ts'
import { weaknessOfKey } from '../../pki/weak-keys.ts'
import { readCsr } from '../../provisioning/x509/csr.ts'
import {
  mlDsa,
  mlDsaSpki,
  mlDsaTypes,
  pqAuthority,
  pqCrl,
  pqKey,
  pqLeaf,
  pqRequest,
} from '../harness/ml-dsa.ts'
import { forgedPem, oid, sequence } from '../provisioning/x509/csr-forge.ts'

for (const type of mlDsaTypes) {
  test(`${type}: leaf, anchor and request are in order, and in none of them where pq is off`, async () => {
    const ca = pqAuthority('Post-quantum CA', pqKey(type))
    const key = pqKey(type)
    const { der } = pqLeaf('pump-1', key, ca)
    assert.equal(certificateFacts(der).keyType, type)
    assert.deepEqual(validateLeaf(der, { pinned: false }), [])
    assert.deepEqual(validateAnchor(ca.der, Date.now()), [])
    const issuer = {
      id: 'a',
      parentId: null,
      certificate: new X509Certificate(ca.der),
      notBefore: 0,
      notAfter: 0,
    }
    assert.equal(verifyChain(new X509Certificate(der), new Map([['a', issuer]])), 'verified')
    const reading = await readCsr(pqRequest('pump-1', key))
    assert.ok(reading.accepted)
    assert.equal(reading.key.keyType, type)
    const off = new RegExp(`the key is ${type.toUpperCase()}, which pq: off refuses`)
    assert.match(validateLeaf(der, { pinned: false, pq: 'off' })[0]!.message, off)
    assert.match(validateAnchor(ca.der, Date.now(), 'off')[0]!.message, off)
  })
}

test('a request that another key signed, or under the name of another algorithm, proves nothing', async () => {
  const key = pqKey('ml-dsa-65')
  const spki = createPublicKey(pqKey('ml-dsa-65')).export({ type: 'spki', format: 'der' })
  const signedAs = (type: 'ml-dsa-44' | 'ml-dsa-65') => ({
    key,
    algorithm: sequence(oid(mlDsa[type])),
    hash: null,
  })
  assert.equal((await readCsr(forgedPem(signedAs('ml-dsa-65')))).accepted, true)
  for (const forgery of [{ ...signedAs('ml-dsa-65'), spki }, signedAs('ml-dsa-44')]) {
    const reading = await readCsr(forgedPem(forgery))
    assert.equal(reading.accepted ? null : reading.faults[0]?.path, 'csr.signature')
  }
})

test('a CRL of an ML-DSA CA is read, and one that another key signed is not', async () => {
  const ca = pqAuthority('Post-quantum CA', pqKey('ml-dsa-65'))
  const issuer = new X509Certificate(ca.der)
  const list = await readRevocationList(pqCrl(ca, ['0102']), issuer)
  assert.deepEqual(
    [...list.entries()].map(entry => entry.serialNumber),
    ['0102'],
  )
  const other = pqCrl({ ...ca, key: pqKey('ml-dsa-65') }, [])
  await assert.rejects(readRevocationList(other, issuer), CrlError)
  const otherKind = pqCrl({ ...ca, key: pqKey('ml-dsa-44') }, [])
  await assert.rejects(readRevocationList(otherKind, issuer), CrlError)
})

test('keys that are refused are refused by name', () => {
  const cases: [string, RegExp][] = [
    [keyTypeOf(generateKeyPairSync('ec', { namedCurve: 'P-521' }).publicKey), /the key is P-521: use/],
    [keyTypeOf(generateKeyPairSync('ed448').publicKey), /the key is Ed448: use/],
    [keyTypeOf(createPublicKey(pqKey('slh-dsa-sha2-128s'))), /SLH-DSA-SHA2-128s, with which TLS cannot/],
    ['slh-dsa-shake-256f', /SLH-DSA-SHAKE-256f/],
    ['ml-dsa-66', /ML-DSA-66: use/],
    [
      keyTypeOf(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey),
      /the key is secp256k1: use/,
    ],
    [keyTypeOf(generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).publicKey), /the key is rsa-pss: use/],
  ]
  for (const [keyType, words] of cases) {
    assert.match(keyTypeProblem(keyType) ?? '', words)
    for (const pq of ['off', 'accept', 'issue'] as const) assert.equal(isAcceptableKey(keyType, pq), false)
  }
})

test('an ML-DSA key whose t1 no generator made is refused: anybody can sign for it', () => {
  const octets = (320 * 1536) / 256
  const few = Buffer.alloc(octets)
  for (let at = 0; at < octets; at += 7) few[at] = at % 3
  for (const t1 of [Buffer.alloc(octets), Buffer.alloc(octets, 0xff), few]) {
    const key = createPublicKey({ key: mlDsaSpki(t1), format: 'der', type: 'spki' })
    assert.match(weaknessOfKey(key) ?? '', /anybody can sign/)
  }
  for (const type of mlDsaTypes)
    for (let round = 0; round < 20; round += 1)
      assert.equal(weaknessOfKey(createPublicKey(pqKey(type))), null)
})
