// One CMP message in, one out: reads it, finds its sender, has it decided, and protects the answer as the message was: by the shared secret, or by the
// signature of the issuing CA. What goes wrong becomes an error message that says what.
import { randomBytes, type X509Certificate } from 'node:crypto'
import type { Issuer } from '../../db/issuers/issuer-store.ts'
import { issuerLine } from '../../db/issuers/issuer-store.ts'
import { readOrThrow } from '../../pki/certificate-facts.ts'
import type { IssuingCa } from '../ca/issuing-ca.ts'
import type { Problem } from '../http/problem.ts'
import { nothing, oid, sequence } from '../x509/der.ts'
import type { CmpAuthentication, Sender } from './cmp-authentication.ts'
import { subjectKeyIdOf } from './cmp-authentication.ts'
import type { CmpAnswer } from './cmp-certification.ts'
import type { CmpEnrollment } from './cmp-enrollment.ts'
import { CmpFault, failureInfoOf } from './cmp-problems.ts'
import { type CmpHeader, readMessage } from './message-reader.ts'
import { type Body, errorMessage, type Protection, writeMessage } from './message-writer.ts'

/** What surrounds a message. */
export type CmpContext = {
  requestId: string
  /** The certificate of the TLS handshake. */
  tls: X509Certificate | null
  /** Of the sender. */
  address: string
  /** Throws where the sender, or this body, may not use the address that the message came to. */
  assertAddressed(sender: Sender, bodyType: number): Promise<void>
  /** The problem of a message that proved nothing, which counts against its address; it is 429 after too many. */
  counted(problem: Problem): Promise<Problem>
  refused(problem: Problem): void
}

export type CmpService = {
  /** Throws the problem `rate_limited` alone. */
  answer(der: Buffer, context: CmpContext): Promise<Buffer>
}

type Parts = {
  authentication: CmpAuthentication
  enrollment: CmpEnrollment
  ca: () => IssuingCa
  issuers: () => Map<string, Issuer>
  problemOf: (error: unknown) => Problem
  now: () => number
}

const NONCE_OCTETS = 16

export function createCmpService(parts: Parts): CmpService {
  const { authentication, enrollment, issuers, now } = parts
  const namesOf = createCaNames()

  function signatureOf(ca: IssuingCa): Protection {
    const { oid: id, nullParameters } = ca.signer.algorithm
    return {
      algorithm: sequence(oid(id), ...(nullParameters ? [nothing()] : [])),
      senderKid: namesOf(ca).keyId,
      protect: bytes => ca.signer.sign(bytes),
    }
  }

  async function written(
    header: CmpHeader | null,
    sender: Sender | null,
    { body, transaction, issuerId, implicitConfirm }: Partial<CmpAnswer> & { body: Body },
  ): Promise<Buffer> {
    const ca = parts.ca()
    const senderNonce = randomBytes(NONCE_OCTETS)
    const named = { to: header, sender: namesOf(ca).subject, senderNonce, at: now() }
    const answer = await writeMessage(
      { ...named, implicitConfirm: implicitConfirm ?? false },
      body,
      sender?.mac ?? signatureOf(ca),
      above(ca, issuerId ?? null, issuers()),
    )
    if (transaction !== undefined) transaction.nonce = senderNonce
    return answer
  }

  return {
    async answer(der, context) {
      let header: CmpHeader | null = null
      let sender: Sender | null = null
      try {
        const message = readMessage(der, read => {
          header = read
        })
        sender = await authentication.authenticate(message, context.tls, context.address)
        await context.assertAddressed(sender, message.bodyType)
        return await written(header, sender, await enrollment.decide(message, sender, context.requestId))
      } catch (error) {
        const found = parts.problemOf(error)
        const own = found.definition.status >= 500
        const problem = sender === null && !own ? await context.counted(found) : found
        if (problem.reason === 'rate_limited') throw problem
        context.refused(problem)
        return written(header, sender, { body: errorMessage(failureInfoFor(problem), textOf(problem)) })
      }
    },
  }
}

/** A fault of the proof of possession is known by its place. */
function failureInfoFor(problem: Problem) {
  const places = problem.errors.map(({ path }) => path)
  return places.some(path => path === 'popo' || path === 'csr.signature') ? 'badPOP' : failureInfoOf(problem)
}

/** What was wrong, for people, with the reason that the API gives for the same. */
function textOf(problem: Problem): string {
  if (problem instanceof CmpFault) return problem.message
  const faults = problem.errors.map(({ path, message }) => `${path}: ${message}`).join('; ')
  const detail = problem.message.includes(faults) ? problem.message : `${problem.message} (${faults})`
  return `${problem.reason}: ${detail}`
}

/** The certificates above: of the CA that issues now, and of what issued the certificate that is sent, without roots. */
function above(ca: IssuingCa, issuerId: string | null, issuers: Map<string, Issuer>): Buffer[] {
  const lines = [ca.id, ...(issuerId === null || issuerId === ca.id ? [] : [issuerId])].flatMap(id =>
    issuerLine(id, issuers).filter(({ kind }) => kind !== 'root'),
  )
  const ders = [ca.certificate.raw, ...lines.map(({ certificate }) => certificate.raw)]
  return ders.filter((der, index) => ders.findIndex(other => other.equals(der)) === index)
}

/** The subject and key identifier of the CA that issues now, which is another about once a year. */
function createCaNames() {
  let last: { id: string; subject: Buffer; keyId: Buffer | null } | null = null
  return (ca: IssuingCa): { subject: Buffer; keyId: Buffer | null } => {
    if (last?.id !== ca.id) {
      const read = readOrThrow(ca.certificate.raw)
      last = { id: ca.id, subject: read.subject.der, keyId: subjectKeyIdOf(read) }
    }
    return last
  }
}
