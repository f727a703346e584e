// Writes OCSP responses (RFC 6960 §4.2). Pure but for the signature; refuses to know how a certificate stands and why.
import type { X509Certificate } from 'node:crypto'
import type { Signer } from '../ca/signer.ts'
import {
  bitString,
  empty,
  enumerated,
  generalizedTime,
  nothing,
  octetString,
  oid,
  sequence,
  tagged,
} from '../x509/der.ts'
import type { CertIdentifier } from './ocsp-request.ts'
import { type RevocationStatus, reasonCodes } from './revocation-status.ts'

/** The signer: a certificate that its issuing CA made for this alone (RFC 6960 §4.2.2.2). `keyHash` is SHA-1, hex. */
export type Responder = { certificate: X509Certificate; signer: Signer; keyHash: string }
export type Verdict = RevocationStatus | 'unknown'
type SingleAnswer = { identifier: CertIdentifier; verdict: Verdict }
/** Times in ms since the epoch. */
type ResponseTimes = { producedAt: number; thisUpdate: number; nextUpdate: number }

/** Answers that say nothing about a certificate carry no signature (RFC 6960 §2.3). */
export const unsigned = {
  malformedRequest: errorOf(1),
  internalError: errorOf(2),
  tryLater: errorOf(3),
  unauthorized: errorOf(6),
} as const

export async function signOcspResponse(
  responder: Responder,
  answers: readonly SingleAnswer[],
  times: ResponseTimes,
  nonce: Buffer | null,
): Promise<Buffer> {
  const { certificate, signer, keyHash } = responder
  const { oid: algorithmOid, nullParameters } = signer.algorithm
  const data = sequence(
    tagged(2, octetString(Buffer.from(keyHash, 'hex'))),
    generalizedTime(times.producedAt),
    sequence(...answers.map(answer => singleOf(answer, times))),
    ...(nonce === null ? [] : [tagged(1, sequence(sequence(NONCE, octetString(nonce))))]),
  )
  const algorithm = sequence(oid(algorithmOid), ...(nullParameters ? [nothing()] : []))
  const signature = bitString(await signer.sign(data))
  const basic = sequence(data, algorithm, signature, tagged(0, sequence(certificate.raw)))
  return sequence(enumerated(0), tagged(0, sequence(BASIC, octetString(basic))))
}

const BASIC = oid('1.3.6.1.5.5.7.48.1.1')
const NONCE = oid('1.3.6.1.5.5.7.48.1.2')

function singleOf({ identifier, verdict }: SingleAnswer, { thisUpdate, nextUpdate }: ResponseTimes): Buffer {
  return sequence(
    identifier.der,
    statusOf(verdict),
    generalizedTime(thisUpdate),
    tagged(0, generalizedTime(nextUpdate)),
  )
}

function statusOf(verdict: Verdict): Buffer {
  if (verdict === 'unknown') return empty(2)
  if (verdict.good) return empty(0)
  const code = reasonCodes[verdict.reason]
  const reason = code === 0 ? [] : [tagged(0, enumerated(code))]
  return tagged(1, generalizedTime(verdict.at), ...reason)
}

function errorOf(code: number): Buffer {
  return sequence(enumerated(code))
}
