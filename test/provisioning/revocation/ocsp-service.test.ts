// The OCSP desk alone, on a CA made here: what it signs anew, what it keeps, and what a flood does to it.
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { RevocationRow } from '../../../db/issuers/revocation-reader.ts'
import { createIssuingCa, signItself } from '../../../provisioning/ca/issuing-ca.ts'
import { generateKey } from '../../../provisioning/ca/keys.ts'
import { randomSerialNumber, rootProfile, validityOf } from '../../../provisioning/ca/profile.ts'
import { signerOf } from '../../../provisioning/ca/signer.ts'
import { keyHashOf, nameHashOf } from '../../../provisioning/revocation/issuer-hashes.ts'
import { createOcspService } from '../../../provisioning/revocation/ocsp-service.ts'
import { enumerated, integer, octetString, oid, sequence, tagged } from '../../../provisioning/x509/der.ts'

const key = generateKey('p256')
const order = {
  profile: rootProfile('Test CA'),
  serialNumber: randomSerialNumber(),
  validity: validityOf(9, Date.now()),
}
const certificate = new X509Certificate(await signItself(signerOf(key), order))
const ca = createIssuingCa({ root: certificate, certificate, signer: signerOf(key) })
const responder = { certificate, signer: signerOf(key), keyHash: keyHashOf(certificate, 'sha1') }

function requestFor(serialNumber: string, nonce: string | null = null): Buffer {
  const identifier = sequence(
    sequence(oid('1.3.14.3.2.26')),
    octetString(Buffer.from(nameHashOf(certificate, 'sha1'), 'hex')),
    octetString(Buffer.from(keyHashOf(certificate, 'sha1'), 'hex')),
    integer(serialNumber),
  )
  const extension =
    nonce === null
      ? []
      : [
          tagged(
            2,
            sequence(
              sequence(oid('1.3.6.1.5.5.7.48.1.2'), octetString(octetString(Buffer.from(nonce, 'hex')))),
            ),
          ),
        ]
  return sequence(sequence(sequence(sequence(identifier)), ...extension))
}

const row: RevocationRow = {
  serialNumber: '01',
  status: 'active',
  revocationReason: null,
  notAfter: 0,
  graceUntil: null,
  issuedAt: 0,
  revokedAt: null,
  changedAt: null,
  deviceState: 'active',
  deviceChangedAt: null,
}

function deskOn(rows: Record<string, RevocationRow>, signaturesPerSecondMax?: number) {
  let signatures = 0
  const counted = {
    ...responder,
    signer: {
      ...responder.signer,
      sign: (bytes: Uint8Array) => {
        signatures += 1
        return responder.signer.sign(bytes)
      },
    },
  }
  const service = createOcspService({
    cas: () => [ca],
    responders: { of: () => counted },
    reader: { status: (_, serial) => rows[serial] ?? null, signed: () => false },
    lifetimeMs: 3_600_000,
    now: () => 1_800_000_000_000,
    ...(signaturesPerSecondMax === undefined ? {} : { signaturesPerSecondMax }),
  })
  return { answer: service.answer, signatures: () => signatures }
}

describe('the OCSP desk', () => {
  it('signs an answer once, and again when the record says otherwise', async () => {
    const rows: Record<string, RevocationRow> = { '01': row }
    const { answer, signatures } = deskOn(rows)
    for (let asked = 0; asked < 3; asked += 1) assert.equal((await answer(requestFor('01'))).outcome, 'good')
    assert.equal(signatures(), 1)
    rows['01'] = { ...row, status: 'revoked', revocationReason: 'keyCompromise', revokedAt: 5 }
    assert.equal((await answer(requestFor('01'))).outcome, 'revoked')
    assert.equal(signatures(), 2)
  })

  it('keeps no answer about what does not exist', async () => {
    const { answer, signatures } = deskOn({})
    for (let asked = 0; asked < 3; asked += 1) {
      const { outcome, cache } = await answer(requestFor('0777'))
      assert.deepEqual([outcome, cache], ['unknown', undefined])
    }
    assert.equal(signatures(), 3)
  })

  it('in a flood signs so many a second, and goes on to answer from what is signed', async () => {
    const { answer, signatures } = deskOn({ '01': row, '02': row }, 5)
    await answer(requestFor('01'))
    const strangers = await Promise.all(
      Array.from({ length: 50 }, (_, at) => answer(requestFor(`0${(at + 256).toString(16)}`))),
    )
    assert.ok(strangers.filter(({ outcome }) => outcome === 'tryLater').length >= 40)
    assert.ok(signatures() <= 10, 'a second may have begun in between')
    const kept = await Promise.all(Array.from({ length: 50 }, () => answer(requestFor('01'))))
    assert.ok(kept.every(({ outcome }) => outcome === 'good'))
    // A nonce is left out rather than a true answer.
    assert.equal((await answer(requestFor('01', '00'.repeat(16)))).outcome, 'good')
  })

  it('signs for certificates of its own while strangers make up serial numbers and nonces', async () => {
    const rows = Object.fromEntries(Array.from({ length: 20 }, (_, at) => [`0${at + 1}`, row]))
    const { answer } = deskOn({ ...rows, '02': row }, 40)
    const made = Array.from({ length: 200 }, (_, at) => requestFor(`0${(at + 256).toString(16)}`))
    const flood = [...made, ...made.map(() => requestFor('01', '00'.repeat(16)))]
    await Promise.all(flood.map(request => answer(request)))
    for (const serial of ['02', '03', '04'])
      assert.equal((await answer(requestFor(serial))).outcome, 'good', serial)
  })

  it('echoes a nonce as it came, up to 128 bytes, and keeps no such answer', async () => {
    const { answer } = deskOn({ '01': row })
    for (const bytes of [1, 16, 32, 128]) {
      const nonce = 'ab'.repeat(bytes)
      const { der, cache } = await answer(requestFor('01', nonce))
      assert.ok(der.toString('hex').includes(nonce))
      assert.equal(cache, undefined)
    }
    for (const bytes of [0, 129]) {
      const { outcome } = await answer(requestFor('01', 'ab'.repeat(bytes)))
      assert.equal(outcome, 'malformedRequest', `${bytes} bytes`)
    }
  })

  it('answers whatever bytes it is sent, and never throws', async () => {
    const { answer } = deskOn({ '01': row })
    const good = requestFor('01', '00'.repeat(16))
    const bent = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 4 }).map(changes => {
      const made = Buffer.from(good)
      for (const [at, value] of changes) made[at] = value
      return made
    })
    const anything = fc.uint8Array({ maxLength: 300 }).map(bytes => Buffer.from(bytes))
    await fc.assert(
      fc.asyncProperty(fc.oneof(bent, anything), async request => {
        const { der, outcome } = await answer(request)
        assert.equal(der[0], 0x30)
        if (outcome === 'malformedRequest') assert.deepEqual(der, sequence(enumerated(1)))
      }),
      { numRuns: 500 },
    )
  })
})
