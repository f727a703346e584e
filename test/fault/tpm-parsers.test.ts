// What a device shows of its TPM, damaged for a while: public areas and endorsement certificates. Whatever comes, the reader answers with keys
// or with reasons. The same again: ROLLCALL_FAULT_SEED.
import assert from 'node:assert/strict'
import { randomInt, X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import type { Issuer } from '../../db/issuers/issuer-store.ts'
import { createSoftwareTpm } from '../../device-sim/enrollment/software-tpm.ts'
import { fingerprintOf } from '../../pki/certificate-facts.ts'
import { readShownTpm } from '../../provisioning/tpm/tpm-proof.ts'
import {
  commonNames,
  der,
  extensionOf,
  forgedCertificate,
  isCa,
  oid,
  p256,
  sequence,
  usageBits,
} from '../harness/certificate-forge.ts'
import { length } from './length.ts'
import { createChance, mutatedBytes, mutatedDer } from './mutations.ts'

const DURATION_MS = length(500, 10 * 60_000)
const seed = Number(process.env['ROLLCALL_FAULT_SEED'] ?? randomInt(2 ** 31))
const now = Date.UTC(2026, 10, 1)

const name = commonNames('TPM Maker')
const caKey = p256()
const caDer = forgedCertificate({
  subject: name,
  key: caKey,
  extensions: [extensionOf.basicConstraints(isCa), extensionOf.keyUsage(usageBits(0x06))],
})
const issuer = {
  ...{ id: fingerprintOf(caDer), name: 'TPM Maker', parentId: null, kind: 'foreign' },
  ...{ certificate: new X509Certificate(caDer), enabled: true, revoked: false, replaced: [] },
  ...{ notBefore: 0, notAfter: now * 2 },
} as unknown as Issuer
const certificate = forgedCertificate({
  subject: sequence(),
  issuer: name,
  signer: caKey,
  extensions: [
    extensionOf.extendedKeyUsage(sequence(oid('6781050801'))),
    extensionOf.subjectAltName(sequence(der(0xa4, name))),
  ],
})
const tpms = (['p256', 'rsa2048'] as const).map(type => {
  const tpm = createSoftwareTpm(type)
  return { key: tpm.createKey().area, endorsement: tpm.endorsement.area }
})
const parts = { issuers: new Map([[issuer.id, issuer]]), tpmAnchor: () => ({ mode: 'active' as const }), now }

function attempt(chance: ReturnType<typeof createChance>): boolean {
  const { key, endorsement } = chance.pick(tpms)
  const damaged = (octets: Buffer) => (chance.sometimes(0.5) ? mutatedBytes(octets, chance) : octets)
  const shown = readShownTpm(
    {
      key: damaged(key).toString('base64'),
      ...(chance.sometimes(0.6) ? { endorsementKey: damaged(endorsement).toString('base64') } : {}),
      ...(chance.sometimes(0.6)
        ? {
            endorsementCertificate: (chance.sometimes(0.6)
              ? mutatedDer(certificate, chance)
              : damaged(certificate)
            ).toString('base64'),
          }
        : {}),
    },
    parts,
  )
  if ('faults' in shown) {
    assert.ok(shown.faults.length > 0 && shown.faults.every(one => one.path && one.message))
    return false
  }
  assert.match(`${shown.ekHash} ${shown.key.spkiHash}`, /^[0-9a-f]{64} [0-9a-f]{64}$/)
  return true
}

test('public areas and endorsement certificates of TPMs: each gives keys or reasons', async t => {
  const end = performance.now() + DURATION_MS
  let tried = 0
  let read = 0
  for (; performance.now() < end || tried < 64; tried += 1) {
    try {
      if (attempt(createChance(seed + tried))) read += 1
    } catch (error) {
      throw new Error(`ROLLCALL_FAULT_SEED=${seed + tried} does it at once`, { cause: error })
    }
    if (tried % 64 === 0) await new Promise(resolve => setImmediate(resolve))
  }
  t.diagnostic(`${tried} tried from seed ${seed}, ${read} read`)
})
