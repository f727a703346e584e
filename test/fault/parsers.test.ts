// Every reader of bytes that strangers choose, fed with damaged structures for a while: certificates, requests, CRLs, OCSP
// requests, PROXY headers. Signed anew where a signature would hide what lies behind it. Whatever comes, each answers with a value or a
// reason. The same again: ROLLCALL_FAULT_SEED.
import assert from 'node:assert/strict'
import { createPublicKey, type KeyObject, randomInt, sign, X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { parseProxyHeader } from '../../broker/gate/transport/proxy-header.ts'
import type { Issuer } from '../../db/issuers/issuer-store.ts'
import { validateAnchor } from '../../pki/anchor-policy.ts'
import { CertificateUnreadable, certificateFacts, fingerprintOf } from '../../pki/certificate-facts.ts'
import { readCertificate } from '../../pki/certificate-reader.ts'
import { elementsOf, encodingOf, wholeElement } from '../../pki/der-reader.ts'
import { covers } from '../../pki/distribution-points.ts'
import { validateLeaf } from '../../pki/leaf-policy.ts'
import { toPem } from '../../pki/pem.ts'
import { CrlError, readRevocationList } from '../../pki/revocation-list.ts'
import { nameDevice } from '../../provisioning/anchors/name-template.ts'
import { validateNewAnchor } from '../../provisioning/anchors/trust-anchor.ts'
import { validateIdevid } from '../../provisioning/enrollment/idevid.ts'
import { Problem } from '../../provisioning/http/problem.ts'
import { validateOperatorCertificate } from '../../provisioning/operators/operator-certificate.ts'
import { readOcspRequest } from '../../provisioning/revocation/ocsp-request.ts'
import { namesIn } from '../../provisioning/x509/certificate-names.ts'
import { readCsr } from '../../provisioning/x509/csr.ts'
import { validateForeignCertificate } from '../../provisioning/x509/foreign-certificate.ts'
import { deviceAskedFor, namesOfCertificate, namesOfRequest } from '../../provisioning/x509/request-names.ts'
import {
  commonNames,
  der,
  extension,
  extensionOf,
  forgedCertificate,
  isCa,
  oid,
  p256,
  sequence,
  usageBits,
} from '../harness/certificate-forge.ts'
import { extensions, forged, requesting } from '../provisioning/x509/csr-forge.ts'
import { length } from './length.ts'
import { type Chance, createChance, mutatedBytes, mutatedDer } from './mutations.ts'

const DURATION_MS = length(600, 10 * 60_000)
/** On the slowest machine too: of 11 once none was still a certificate. */
const TRIES = 64
const seed = Number(process.env['ROLLCALL_FAULT_SEED'] ?? randomInt(2 ** 31))
const now = Date.UTC(2026, 10, 1)

/** Tries one thing after the other, each with a seed of its own that is named where it fails. */
async function fuzz(
  t: { diagnostic(text: string): void },
  attempt: (chance: Chance) => void | Promise<void>,
): Promise<void> {
  const end = performance.now() + DURATION_MS
  let tried = 0
  for (; performance.now() < end || tried < TRIES; tried += 1) {
    try {
      await attempt(createChance(seed + tried))
    } catch (error) {
      throw new Error(`ROLLCALL_FAULT_SEED=${seed + tried} does it at once`, { cause: error })
    }
    if (tried % 64 === 0) await new Promise(resolve => setImmediate(resolve))
  }
  t.diagnostic(`${tried} tried from seed ${seed}`)
}

/** A signed structure (RFC 5280 §4.1, §5.1, RFC 2986 §4.2) with another first part, and a signature that holds. */
function signedAnew(bytes: Buffer, content: Buffer, key: KeyObject): Buffer {
  const [, algorithm] = elementsOf(bytes, wholeElement(bytes, 0x30))
  const signature = der(0x03, Buffer.of(0), sign('sha256', content, key))
  return sequence(content, encodingOf(bytes, algorithm!), signature)
}
const firstOf = (bytes: Buffer) => {
  const [first] = elementsOf(bytes, wholeElement(bytes, 0x30))
  return encodingOf(bytes, first!)
}

const name = commonNames('Maker CA')
const caKey = p256()
const caDer = forgedCertificate({
  subject: name,
  key: caKey,
  extensions: [extensionOf.basicConstraints(isCa), extensionOf.keyUsage(usageBits(0x06))],
})
const caCertificate = new X509Certificate(caDer)
const issuer = {
  ...{
    id: fingerprintOf(caDer),
    name: 'Maker CA',
    parentId: null,
    kind: 'foreign',
    certificate: caCertificate,
  },
  ...{ enabled: true, revoked: false, replaced: [], crlScope: '', registration: 'active' },
  ...{ notBefore: 0, notAfter: now * 2 },
} as unknown as Issuer
const issuers = new Map([[issuer.id, issuer]])

const leaf = forgedCertificate({
  subject: sequence(
    der(0x31, sequence(oid('550403'), der(0x0c, Buffer.from('pump-1')))),
    der(0x31, sequence(oid('550405'), der(0x13, Buffer.from('SN-1')))),
  ),
  issuer: name,
  signer: caKey,
  extensions: [
    extensionOf.basicConstraints(sequence()),
    extensionOf.keyUsage(usageBits(0x80)),
    extensionOf.extendedKeyUsage(sequence(oid('2b06010505070302'))),
    extensionOf.subjectAltName(
      sequence(
        der(0x82, Buffer.from('pump-1.example')),
        der(0x86, Buffer.from('urn:rollcall:device:pump-1')),
        der(0x87, Buffer.of(192, 0, 2, 1)),
        der(0xa0, oid('2b06010505070804'), der(0xa0, sequence(oid('2a03'), der(0x04, Buffer.from('SN'))))),
        der(0xa4, name),
        der(0xa5, der(0xa1, der(0x0c, Buffer.from('x')))),
      ),
    ),
    extensionOf.authorityInfoAccess(
      sequence(sequence(oid('2b06010505073001'), der(0x86, Buffer.from('http://ocsp.example')))),
    ),
    extensionOf.certificatePolicies(sequence(sequence(oid('551d2000')))),
    extensionOf.subjectKeyIdentifier(der(0x04, Buffer.from('0123456789'))),
    extensionOf.authorityKeyIdentifier(sequence(der(0x80, Buffer.from('0123456789')))),
    extensionOf.crlDistributionPoints(
      sequence(sequence(der(0xa0, der(0xa0, der(0x86, Buffer.from('http://crl.example')))))),
    ),
    extensionOf.unknown(false),
  ],
})

test('certificates', async t => {
  assert.deepEqual(validateLeaf(leaf, { pinned: false }), [])
  let listable = 0
  await fuzz(t, async chance => {
    const damaged = chance.sometimes(0.9)
      ? signedAnew(leaf, mutatedDer(firstOf(leaf), chance), caKey)
      : mutatedDer(leaf, chance)
    const reading = readCertificate(damaged)
    const facts = outcomeOf(() => certificateFacts(damaged), CertificateUnreadable)
    if (facts !== null) {
      assert.ok('certificate' in reading)
      assert.ok(Number.isFinite(facts.notBefore) && Number.isFinite(facts.notAfter))
      assert.equal(typeof facts.subject, 'string')
    }
    namesIn(damaged)
    namesOfCertificate(damaged)
    covers({ points: ['http://crl.example'], endEntitiesOnly: false }, damaged)
    validateAnchor(damaged, now)
    const pem = toPem(damaged, 'CERTIFICATE')
    validateNewAnchor(pem, { issuers, pq: 'accept', now })
    outcomeOf(() => validateOperatorCertificate(pem, { issuers, pq: 'accept', now }), Problem)
    for (const trust of ['chained', 'pinned'] as const) {
      const order = {
        pem,
        deviceId: 'pump-1',
        trust,
        issuers,
        isDevice: async () => false,
        pq: 'accept',
        now,
      }
      const verdict = await validateForeignCertificate(order as never)
      if ('refused' in verdict) continue
      listable += 1
      // What may be listed can be listed: nothing about it is unknown.
      assert.ok(facts !== null && facts.notAfter >= now)
      nameDevice('$'.concat('{cn}'), damaged, facts.serialNumber)
    }
    const shown = outcomeOf(() => new X509Certificate(damaged), Error)
    if (shown === null) return
    const anchorEnrollment = () =>
      ({ mode: 'active', nameTemplate: '$'.concat('{cn}'), group: null, proofFingerprint: null }) as never
    validateIdevid(shown, { issuers, anchorEnrollment, pq: 'accept', now })
  })
  assert.ok(listable > 0, 'some of it still is a certificate')
})

test('certification requests', async t => {
  const key = p256()
  const request = forged({
    key,
    subject: commonNames('pump-1'),
    attributes: [requesting(extensions.uri('urn:x'), extensions.ca), requesting(extensions.dns('a'))],
  })
  let accepted = 0
  await fuzz(t, async chance => {
    const damaged = chance.sometimes(0.9)
      ? signedAnew(request, mutatedDer(firstOf(request), chance), key)
      : mutatedDer(request, chance)
    const pem = toPem(damaged, 'CERTIFICATE REQUEST')
    const text = chance.sometimes(0.1) ? mutatedBytes(Buffer.from(pem), chance).toString('latin1') : pem
    const reading = await readCsr(text)
    if (reading.accepted) {
      accepted += 1
      assert.ok(reading.key.spki.equals(createPublicKey(key).export({ type: 'spki', format: 'der' })))
    } else assert.ok(reading.faults.length > 0)
    namesOfRequest(text)
    deviceAskedFor(text)
  })
  assert.ok(accepted > 0, 'some of it still is a request')
})

test('CRLs', async t => {
  const utc = (text: string) => der(0x17, Buffer.from(text))
  const entry = (serial: string, ...more: Buffer[]) =>
    sequence(der(0x02, Buffer.from(serial, 'hex')), utc('260101000000Z'), ...more)
  const tbs = sequence(
    Buffer.of(2, 1, 1),
    sequence(oid('2a8648ce3d040302')),
    name,
    utc('260101000000Z'),
    utc('270101000000Z'),
    sequence(entry('01'), entry('7f02', sequence(extension('551d15', Buffer.of(10, 1, 1))))),
    der(
      0xa0,
      sequence(
        extension('551d14', Buffer.of(2, 1, 7)),
        extension(
          '551d1c',
          sequence(der(0xa0, der(0xa0, der(0x86, Buffer.from('http://crl.example'))))),
          true,
        ),
      ),
    ),
  )
  const list = sequence(
    tbs,
    sequence(oid('2a8648ce3d040302')),
    der(0x03, Buffer.of(0), sign('sha256', tbs, caKey)),
  )
  assert.equal([...(await readRevocationList(list, caCertificate)).entries()].length, 2)
  let read = 0
  await fuzz(t, async chance => {
    const damaged = chance.sometimes(0.9)
      ? signedAnew(list, mutatedDer(tbs, chance), caKey)
      : mutatedDer(list, chance)
    const found = await readRevocationList(damaged, caCertificate).catch(error => {
      if (!(error instanceof CrlError)) throw error
      return null
    })
    if (found === null) return
    assert.ok(
      Number.isFinite(found.thisUpdate) && (found.nextUpdate === null || Number.isFinite(found.nextUpdate)),
    )
    const entries = outcomeOf(() => [...found.entries()], CrlError)
    if (entries !== null) read += 1
    for (const { revokedAt } of entries ?? []) assert.ok(Number.isFinite(revokedAt))
  })
  assert.ok(read > 0, 'some of it still is a CRL')
})

test('OCSP requests', async t => {
  const identifier = sequence(
    sequence(oid('2b0e03021a'), Buffer.of(5, 0)),
    der(0x04, Buffer.alloc(20, 1)),
    der(0x04, Buffer.alloc(20, 2)),
    der(0x02, Buffer.of(0x4a, 1)),
  )
  const nonce = sequence(oid('2b0601050507300102'), der(0x04, der(0x04, Buffer.alloc(16, 3))))
  const request = sequence(sequence(sequence(sequence(identifier)), der(0xa2, sequence(nonce))))
  assert.equal(readOcspRequest(request)?.certificates.length, 1)
  let read = 0
  await fuzz(t, chance => {
    const damaged = chance.sometimes(0.1) ? mutatedBytes(request, chance) : mutatedDer(request, chance)
    const question = readOcspRequest(damaged)
    if (question === null) return
    read += 1
    for (const { serialNumber } of question.certificates) assert.match(serialNumber, /^([0-9a-f]{2}){1,20}$/)
  })
  assert.ok(read > 0, 'some of it still is a request')
})

test('PROXY headers', async t => {
  const header = Buffer.concat([
    Buffer.from('0d0a0d0a000d0a515549540a', 'hex'),
    Buffer.of(0x21, 0x11, 0, 19, 192, 0, 2, 1, 192, 0, 2, 2, 0x30, 0x39, 0x22, 0xb3),
    Buffer.of(0x20, 0, 4, 1, 2, 3, 4),
  ])
  let read = 0
  await fuzz(t, chance => {
    const verdict = parseProxyHeader(mutatedBytes(header, chance))
    if (verdict.verdict !== 'read') return
    read += 1
    assert.ok(verdict.bytes >= 16 && verdict.bytes <= 16 + 1_024)
  })
  assert.ok(read > 0, 'some of it still is a header')
})

/** What it gives; null where it threw what it may throw. Anything else is thrown on. */
// biome-ignore lint/suspicious/noExplicitAny: constructors of errors take what they like
function outcomeOf<T>(work: () => T, expected: new (...parts: any[]) => Error): T | null {
  try {
    return work()
  } catch (error) {
    if (error instanceof expected) return null
    throw error
  }
}
