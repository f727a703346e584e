// Answers "would it be admitted now, and if not, why": the admission decision itself, run on what is on record.
// Changes nothing and notes nothing down.

import { X509Certificate } from 'node:crypto'
import {
  decideAdmission,
  type ExplainedCheck,
  explainAdmission,
  inOneLine,
  type Peer,
  type Presented,
} from '../../admission/decide.ts'
import type { AdmissionLookup } from '../../db/admission-lookup.ts'
import type { Arrival } from '../../db/issuers/arrivals.ts'
import { type Issuer, issuerLine } from '../../db/issuers/issuer-store.ts'
import { type Reason, reasons } from '../../db/reason.ts'
import { answersTo } from '../../db/reason-v5.ts'
import type { Denial } from '../../db/roll/denials.ts'
import type { NearestDevice } from '../../db/roll/nearest-device.ts'
import type { Certificate, Device, Refusal, RollReader } from '../../db/roll/roll-reader.ts'
import { certificateFacts, fingerprintOf } from '../../pki/certificate-facts.ts'
import { findIssuer, verifyChain } from '../../pki/chain.ts'
import type { PqMode } from '../../pki/key-policy.ts'
import { certificateBlocks } from '../../pki/pem.ts'
import { Problem } from '../http/problem.ts'
import { rollProblems } from '../http/roll-problems.ts'
import type { Explanation } from '../http/schemas.ts'
import { namesIn } from '../x509/certificate-names.ts'
import { x509Problems } from '../x509/x509-problems.ts'

export type Explainer = {
  /** Throws the problem `device_unknown`, with the device that has the nearest ID. */
  device(id: string): Promise<Explanation>
  /** Also one that was never listed: then only its refusals are known. */
  certificate(fingerprint: string): Promise<Explanation>
  /**
   * Any certificate, also one never seen; of several the first, which is the one a device presents. Throws the problem
   * `certificate_invalid` where the text holds none, or a private key.
   */
  presented(pem: string): Promise<Explanation>
}

type ExplainerParts = {
  roll: Pick<RollReader, 'device' | 'certificate' | 'certificates' | 'refusals'>
  lookup: AdmissionLookup
  nearest: (names: readonly string[]) => NearestDevice | null
  /** What is noted of a stranger that wanted to register itself. */
  arrivalOf: (fingerprint: string) => Arrival | null
  denialsOf: (deviceId: string) => Denial[]
  issuers: () => Map<string, Issuer>
  pq: PqMode
  /** What a TPM proved of the certificate of a device. */
  attestationOf: (deviceId: string, fingerprint: string) => NonNullable<Explanation['attestation']> | null
  now: () => number
}

type Verdict = { wouldBeAdmitted: boolean; reason: Reason | null; checks: ExplainedCheck[] }

const REFUSALS_SHOWN = 20
/** More certificates than this are not tried for one device. */
const CERTIFICATES_TRIED = 500

export function createExplainer({
  roll,
  lookup,
  nearest,
  arrivalOf,
  denialsOf,
  issuers,
  attestationOf,
  pq,
  now,
}: ExplainerParts): Explainer {
  function verdictOn(leaf: X509Certificate, known: Map<string, Issuer>): Verdict {
    const fingerprint = fingerprintOf(leaf.raw)
    const peer: Peer = { fingerprint, chain: verifyChain(leaf, known) }
    const input = { peer, record: lookup(fingerprint), now: now(), pq }
    const decision = decideAdmission(input)
    return {
      wouldBeAdmitted: decision.admitted,
      reason: decision.admitted ? null : decision.reason,
      checks: explainAdmission(input, presentedBy(leaf, input.record?.issuerId ?? null, known)),
    }
  }

  async function nearestTo(names: readonly string[]): Promise<Explanation['nearestDevice']> {
    const found = nearest(names)
    const device = found === null ? null : await roll.device(found.id)
    return found === null || device === null ? undefined : { ...found, state: device.state }
  }

  function provenOf(deviceId: string | undefined, fingerprint: string) {
    const attestation = deviceId === undefined ? null : attestationOf(deviceId, fingerprint)
    return attestation === null ? {} : { attestation }
  }

  async function explainCertificate(leaf: X509Certificate): Promise<Explanation> {
    const fingerprint = fingerprintOf(leaf.raw)
    const known = issuers()
    const verdict = verdictOn(leaf, known)
    // A listed device is known by its record; names are for strangers.
    const record = lookup(fingerprint)
    const stranger = record === null
    const nearestDevice = stranger ? await nearestTo(namesIn(leaf.raw)) : undefined
    return {
      subject: { kind: 'certificate', id: fingerprint },
      ...verdict,
      message: messageFor(verdict, leaf, known) + nearby(nearestDevice) + arrived(arrivalOf(fingerprint)),
      hint: verdict.reason === null ? null : reasons[verdict.reason].hint,
      answer: answerFor(verdict),
      ...(nearestDevice === undefined ? {} : { nearestDevice }),
      ...provenOf(record?.deviceId, fingerprint),
      refusals: (await roll.refusals({ fingerprint }, REFUSALS_SHOWN)).map(toRefusalResponse),
    }
  }

  return {
    async device(id) {
      const device = await roll.device(id)
      if (device === null) {
        const detail = `no device ${id} is registered${nearby(await nearestTo([id, id.toLowerCase()]))}`
        throw new Problem(rollProblems, 'device_unknown', detail)
      }
      const { items } = await roll.certificates({ deviceId: id }, null, CERTIFICATES_TRIED)
      const refusals = (await roll.refusals({ deviceId: id }, REFUSALS_SHOWN)).map(toRefusalResponse)
      const denials = denialsOf(id).map(toDenialResponse)
      const subject = { kind: 'device' as const, id }
      if (items.length === 0)
        return { subject, ...withoutCertificate(device), answer: null, certificates: [], denials, refusals }
      const known = issuers()
      const tried = items.toSorted(newestFirst).map(({ fingerprint, der }) => ({
        fingerprint,
        ...verdictOn(new X509Certificate(der), known),
      }))
      const deciding = tried.find(one => one.wouldBeAdmitted) ?? tried[0]!
      const { fingerprint, ...verdict } = deciding
      return {
        subject,
        ...verdict,
        message: deciding.wouldBeAdmitted
          ? `The device would be admitted with certificate ${fingerprint}`
          : `${reasons[deciding.reason!].title} (its newest certificate ${fingerprint}; none of ${tried.length} would be admitted)`,
        hint: deciding.reason === null ? null : reasons[deciding.reason].hint,
        answer: answerFor(deciding),
        ...provenOf(id, fingerprint),
        certificates: tried,
        denials,
        refusals,
      }
    },

    async certificate(fingerprint) {
      const certificate = await roll.certificate(fingerprint)
      if (certificate === null) {
        return neverListed(fingerprint, await roll.refusals({ fingerprint }, REFUSALS_SHOWN), issuers())
      }
      return explainCertificate(new X509Certificate(certificate.der))
    },

    async presented(pem) {
      if (pem.includes('PRIVATE KEY')) throw unusable('it contains a private key: send the certificate alone')
      // A device file holds leaf and chain: the first certificate is the one it would present.
      const [der] = certificateBlocks(pem)
      return explainCertificate(parsed(der))
    },
  }
}

function parsed(der: Buffer | undefined): X509Certificate {
  if (der === undefined) throw unusable('it must hold a whole PEM block BEGIN CERTIFICATE')
  try {
    return new X509Certificate(der)
  } catch {
    throw unusable('its first PEM block is no X.509 certificate')
  }
}

function unusable(message: string): Problem {
  return new Problem(x509Problems, 'certificate_invalid', message, {
    errors: [{ path: 'certificate', message }],
  })
}

/** What the checks show beside the record: the certificate's own words, and its issuer whatever the state of that. */
function presentedBy(
  leaf: X509Certificate,
  issuerOnRecord: string | null,
  known: Map<string, Issuer>,
): Presented | null {
  try {
    const issuer = known.get(issuerOnRecord ?? findIssuer(leaf, known.values())?.id ?? '')
    const line = issuerLine(issuer?.id ?? null, known)
    return {
      facts: certificateFacts(leaf),
      issuer: issuer
        ? {
            id: issuer.id,
            name: issuer.name,
            enabled: line.every(one => one.enabled),
            revoked: line.some(one => one.revoked),
            notAfter: Math.min(...line.map(one => one.notAfter)),
          }
        : null,
    }
  } catch {
    // A certificate whose key or dates cannot be read has nothing more to show.
    return null
  }
}

function arrived(arrival: Arrival | null): string {
  if (arrival === null) return ''
  const at = new Date(arrival.at).toISOString()
  return arrival.decidedAt === null
    ? `; it arrived at ${at} to register itself, and waits for its turn`
    : `; it arrived at ${at} and may not register itself (${arrival.reason}): ${arrival.detail}`
}

function messageFor(verdict: Verdict, leaf: X509Certificate, known: Map<string, Issuer>): string {
  if (verdict.reason === null) return 'The certificate would be admitted'
  const { title } = reasons[verdict.reason]
  const issuer = known.get(fingerprintOf(leaf.raw))
  if (issuer !== undefined) return `${title}: it is the certificate of the issuer ${issuer.name}, no device's`
  if (verdict.reason !== 'issuer_unknown') return title
  // Node gives no text for an empty name.
  const named = JSON.stringify(inOneLine((leaf.issuer as string | undefined) ?? ''))
  const namesake = [...known.values()].some(({ certificate }) => certificate.subject === leaf.issuer)
  return namesake
    ? `${title}: a trust anchor is called ${named}, but its key did not sign this certificate`
    : `${title}: its issuer ${named} is not a trust anchor`
}

function nearby(device: Explanation['nearestDevice']): string {
  return device === undefined ? '' : `; nearest device by name: ${device.id} (${device.state})`
}

const strangers: readonly string[] = ['certificate_unlisted', 'certificate_self_signed', 'issuer_unknown']

/** A fingerprint that is on nobody's record: the certificate itself would tell more. */
function neverListed(fingerprint: string, seen: readonly Refusal[], known: Map<string, Issuer>): Explanation {
  const last = seen.find(refusal => strangers.includes(refusal.reason))
  const reason = (last?.reason ?? 'certificate_unlisted') as Reason
  const issuer = known.get(fingerprint)
  return {
    subject: { kind: 'certificate', id: fingerprint },
    wouldBeAdmitted: false,
    reason,
    checks: [
      { name: 'certificate_presented', outcome: 'passed', reason: null, inputs: { fingerprint } },
      { name: 'on_the_roll', outcome: 'failed', reason, inputs: { listed: false } },
    ],
    message: issuer
      ? `This is the certificate of the issuer ${issuer.name}, no device's`
      : 'No certificate with this fingerprint is on the roll',
    hint: 'Explain the certificate itself, from its file: that shows its names, its issuer and every other check.',
    answer: answersTo(reason),
    refusals: seen.map(toRefusalResponse),
  }
}

/** A device nobody issued anything for: no certificate to run the checks on. */
function withoutCertificate(device: Device): Verdict & { message: string; hint: string } {
  const reason: Reason = 'certificate_unlisted'
  return {
    wouldBeAdmitted: false,
    reason,
    checks: [
      { name: 'certificate_presented', outcome: 'skipped', reason: null, inputs: {} },
      { name: 'on_the_roll', outcome: 'failed', reason, inputs: { listed: false, certificates: 0 } },
    ],
    message: `Device ${device.id} is ${device.state} and has no certificate on the roll`,
    hint: `Enroll it: rollcall device enroll ${device.id}`,
  }
}

function newestFirst(a: Certificate, b: Certificate): number {
  return b.issuedAt - a.issuedAt || (a.fingerprint < b.fingerprint ? -1 : 1)
}

function answerFor({ reason }: Verdict): Explanation['answer'] {
  return reason === null ? null : answersTo(reason)
}

function toDenialResponse(denial: Denial): NonNullable<Explanation['denials']>[number] {
  const { at, firstAt } = denial
  return { ...denial, at: new Date(at).toISOString(), firstAt: new Date(firstAt).toISOString() }
}

function toRefusalResponse(refusal: Refusal): Explanation['refusals'][number] {
  const isKnown = Object.hasOwn(reasons, refusal.reason)
  const answers = isKnown ? answersTo(refusal.reason as Reason) : { mqtt5: null, mqtt311: null }
  return { ...refusal, ...answers, at: new Date(refusal.at).toISOString() }
}
