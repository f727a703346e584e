// Answers "would it be admitted now, and if not, why": the admission decision itself, run on what is on record.
// Changes nothing and notes nothing down.
import { X509Certificate } from 'node:crypto'
import { decideAdmission, type ExplainedCheck, explainAdmission, type Peer } from '../admission/decide.ts'
import type { AdmissionLookup } from '../db/admission-lookup.ts'
import type { Issuer } from '../db/issuer-store.ts'
import { type Reason, reasons } from '../db/reason.ts'
import type { Certificate, Device, Refusal, RollReader } from '../db/roll-reader.ts'
import { fingerprintOf } from '../pki/certificate-facts.ts'
import { judgeChain } from '../pki/chain.ts'
import { pemBlocks } from '../pki/pem.ts'
import { Problem } from './problem.ts'
import type { Explanation } from './schemas.ts'

export type Explainer = {
  /** Throws the problem `device_unknown`. */
  device(id: string): Promise<Explanation>
  /** Throws the problem `certificate_unknown`. */
  certificate(fingerprint: string): Promise<Explanation>
  /** Any certificate, also one never seen. Throws the problem `certificate_invalid` where the text holds none. */
  presented(pem: string): Promise<Explanation>
}

export type ExplainerParts = {
  roll: Pick<RollReader, 'device' | 'certificate' | 'certificates' | 'refusals'>
  lookup: AdmissionLookup
  issuers: () => Map<string, Issuer>
  now: () => number
}

type Verdict = { wouldBeAdmitted: boolean; reason: Reason | null; checks: ExplainedCheck[] }

const REFUSALS_SHOWN = 20
/** More certificates than this are not tried for one device. */
const CERTIFICATES_TRIED = 500

export function createExplainer({ roll, lookup, issuers, now }: ExplainerParts): Explainer {
  function judge(leaf: X509Certificate, known: Map<string, Issuer>): Verdict {
    const fingerprint = fingerprintOf(leaf.raw)
    const peer: Peer = { fingerprint, chain: judgeChain(leaf, known) }
    const input = { peer, record: lookup(fingerprint), now: now() }
    const decision = decideAdmission(input)
    return {
      wouldBeAdmitted: decision.admitted,
      reason: decision.admitted ? null : decision.reason,
      checks: explainAdmission(input),
    }
  }

  async function explainCertificate(leaf: X509Certificate): Promise<Explanation> {
    const fingerprint = fingerprintOf(leaf.raw)
    const verdict = judge(leaf, issuers())
    return {
      subject: { kind: 'certificate', id: fingerprint },
      ...verdict,
      message: messageFor(verdict, leaf),
      hint: verdict.reason === null ? null : reasons[verdict.reason].hint,
      refusals: (await roll.refusals({ fingerprint }, REFUSALS_SHOWN)).map(shownRefusal),
    }
  }

  return {
    async device(id) {
      const device = await roll.device(id)
      if (device === null) throw new Problem('device_unknown', `no device ${id} is registered`)
      const { items } = await roll.certificates({ deviceId: id }, null, CERTIFICATES_TRIED)
      const refusals = (await roll.refusals({ deviceId: id }, REFUSALS_SHOWN)).map(shownRefusal)
      const subject = { kind: 'device' as const, id }
      if (items.length === 0) return { subject, ...withoutCertificate(device), certificates: [], refusals }
      const known = issuers()
      const tried = items.toSorted(newestFirst).map(({ fingerprint, der }) => ({
        fingerprint,
        ...judge(new X509Certificate(der), known),
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
        certificates: tried,
        refusals,
      }
    },

    async certificate(fingerprint) {
      const certificate = await roll.certificate(fingerprint)
      if (certificate === null) {
        throw new Problem('certificate_unknown', `no certificate ${fingerprint} is on the roll`)
      }
      return explainCertificate(new X509Certificate(certificate.der))
    },

    async presented(pem) {
      // A device file holds leaf and chain: the first certificate is the one it would present.
      const [der] = pemBlocks(pem, 'CERTIFICATE')
      return explainCertificate(parsed(der))
    },
  }
}

/** What the gate would find out about the chain of this leaf, whatever the state of its issuer. */
function parsed(der: Buffer | undefined): X509Certificate {
  const fault = { path: 'certificate', message: 'it must hold a PEM block BEGIN CERTIFICATE' }
  if (der === undefined) throw new Problem('certificate_invalid', fault.message, { errors: [fault] })
  try {
    return new X509Certificate(der)
  } catch {
    const message = 'its first PEM block is no X.509 certificate'
    throw new Problem('certificate_invalid', message, { errors: [{ path: 'certificate', message }] })
  }
}

function messageFor(verdict: Verdict, leaf: X509Certificate): string {
  if (verdict.reason === null) return 'The certificate would be admitted'
  const { title } = reasons[verdict.reason]
  if (verdict.reason !== 'issuer_unknown') return title
  return `${title}: its issuer ${JSON.stringify(leaf.issuer.replaceAll('\n', ', '))} is not a trust anchor`
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

function shownRefusal(refusal: Refusal): Explanation['refusals'][number] {
  return { ...refusal, at: new Date(refusal.at).toISOString() }
}
