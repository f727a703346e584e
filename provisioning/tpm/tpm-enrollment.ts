// Enrollment by a TPM: a challenge that only the TPM of an endorsement key can answer, while it holds the key that is to be certified. Decides
// what vouches for a TPM and what is asked of it; the enrollment service then decides about the certificate.
import { hash } from 'node:crypto'
import type { Actor } from '../../db/audit/audit.ts'
import type { EndorsementKeyStore, Voucher } from '../../db/enrollment/endorsement-keys.ts'
import type { TpmUse } from '../../db/enrollment/tpm-redemption.ts'
import type { Issuer } from '../../db/issuers/issuer-store.ts'
import type { Presented } from '../enrollment/enrollment-authentication.ts'
import { enrollmentProblems } from '../enrollment/enrollment-problems.ts'
import type { Enrolled, EnrollmentService, TpmProof } from '../enrollment/enrollment-service.ts'
import { issuanceProblems } from '../enrollment/issuance-problems.ts'
import { Problem, refusal } from '../http/problem.ts'
import { createChallenges } from './challenges.ts'
import { attributeNames } from './key-rules.ts'
import { makeCredential } from './make-credential.ts'
import { tpmProblems } from './tpm-problems.ts'
import { readShownTpm, type ShownTpm, type TpmDocuments } from './tpm-proof.ts'

/** A token beside the TPM, which names the device. */
type Token = Extract<Presented['credential'], { kind: 'token' }>
/** Each fact once, since many wait: the rest is told from it. `spki` in base64. */
type Asked = Pick<TpmUse, 'model' | 'certificate' | 'vouchedBy'> & {
  deviceId: string | null
  tokenId: string | null
  spki: string
  keyType: string
  attributes: number
  requestId: string
  approval: boolean
}

export type TpmEnrollment = {
  /** Throws the problem where nothing vouches for the TPM, or something in the documents is wrong. */
  challenge(
    documents: TpmDocuments,
    request: { deviceId: string | null; token: Token | null; address: string; id: string },
  ): Promise<{ session: string; credential: Buffer }>
  /** Throws the problem where the challenge is not open, or the secret is not that of the credential. */
  activate(
    session: string,
    secret: Buffer,
    token: Token | null,
    requestId: string,
  ): Promise<Enrolled & { actor: string }>
  openChallenges(): number
}

type TpmEnrollmentParts = {
  writer: Pick<EndorsementKeyStore, 'tpmAnchor' | 'endorsementKey'>
  enrollmentService: EnrollmentService
  issuers: () => Map<string, Issuer>
  /** Whether TPMs that nothing vouches for may ask, and wait for an operator. */
  unknownTpms: 'refuse' | 'pending'
  now: () => number
}

export function createTpmEnrollment(parts: TpmEnrollmentParts): TpmEnrollment {
  const { writer, enrollmentService, issuers, now } = parts
  const challenges = createChallenges<Asked>(now)

  /** What vouches for the TPM, whether its certificate waits for an operator; or why nothing does. */
  function vouching(
    { ekHash, trust }: ShownTpm,
    token: Token | null,
  ): { by: Voucher; approval: boolean } | { because: string } {
    const known = writer.endorsementKey(ekHash)
    if (known?.vouchedBy === 'operator') return { by: 'operator', approval: false }
    if (trust.known) return { by: 'maker', approval: trust.pending }
    if (known?.vouchedBy === 'maker') return { because: trust.because }
    if (token !== null || known?.vouchedBy === 'token') return { by: 'token', approval: false }
    if (known !== null || parts.unknownTpms === 'pending') return { by: 'nobody', approval: true }
    return { because: `its endorsement key is on no list, and ${trust.because}` }
  }

  return {
    async challenge(documents, { deviceId, token, address, id }) {
      const shown = readShownTpm(documents, { issuers: issuers(), tpmAnchor: writer.tpmAnchor, now: now() })
      if ('faults' in shown) throw refusal(tpmProblems, { refused: 'tpm_key_refused', faults: shown.faults })
      const voucher = vouching(shown, token)
      if ('because' in voucher) throw new Problem(tpmProblems, 'tpm_unknown', voucher.because)
      const { key, ekHash, trust, model } = shown
      const keyName = key.name.toString('hex')
      const certificate = trust.known ? { issuerId: trust.issuerId, serialNumber: trust.serialNumber } : null
      const asked: Asked = {
        ...{ deviceId, model, certificate, vouchedBy: voucher.by, approval: voucher.approval },
        ...{ tokenId: token?.id ?? null, requestId: id },
        ...{ keyType: key.keyType, attributes: key.attributes },
        spki: key.key.export({ type: 'spki', format: 'der' }).toString('base64'),
      }
      const opened = challenges.open({ ekHash, keyName, address, asked })
      if ('waitSeconds' in opened) {
        const more = { retryAfterSeconds: opened.waitSeconds }
        throw new Problem(
          tpmProblems,
          'tpm_challenges_exceeded',
          'too many challenges wait for an answer',
          more,
        )
      }
      const credential = await makeCredential(shown.endorsement, key.name, opened.secret)
      return { session: opened.session, credential }
    },

    async activate(session, secret, token, requestId) {
      const answer = challenges.answer(session, secret)
      if ('refused' in answer) {
        if (answer.refused === 'unknown')
          throw new Problem(tpmProblems, 'tpm_session_unknown', 'it was answered, has ended, or never was')
        throw new Problem(
          tpmProblems,
          'tpm_secret_wrong',
          'the TPM of that endorsement key gives another secret',
        )
      }
      const { asked, openedAt, ekHash, keyName } = answer.challenge
      if (asked.tokenId !== (token?.id ?? null))
        throw new Problem(
          enrollmentProblems,
          'enrollment_token_refused',
          'the challenge was asked for with another token, or with none',
        )
      const { model, certificate, vouchedBy, attributes } = asked
      const approval = asked.approval || answer.cloned !== null
      const use: TpmUse = {
        ...{ session, ekHash, model, certificate, vouchedBy, approval, cloned: answer.cloned },
        key: { name: keyName, attributes, attributeNames: attributeNames(attributes) },
        challenge: { at: openedAt, requestId: asked.requestId },
      }
      const proof: TpmProof = { use, approval }
      const credential = token === null ? ({ kind: 'tpm', proof } as const) : { ...token, tpm: proof }
      const name = token === null ? `tpm:${ekHash}` : `enrollment-token:${token.id}`
      const actor: Actor = { name, kind: 'enrollment', requestId }
      const spki = Buffer.from(asked.spki, 'base64')
      const key = { spki, spkiHash: hash('sha256', spki, 'hex'), keyType: asked.keyType }
      const csr = { accepted: true, key } as const
      const outcome = await enrollmentService.enroll(credential, { deviceId: asked.deviceId, csr }, actor)
      if ('refused' in outcome) throw refusal(issuanceProblems, outcome)
      return { ...outcome, actor: name }
    },

    openChallenges: challenges.size,
  }
}
