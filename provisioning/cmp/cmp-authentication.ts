// The sender of a CMP message: a token whose secret made its MAC, or the holder of the certificate whose key signed it or made the TLS handshake around it.
// Names the caller; what the caller may ask for is decided elsewhere. Any doubt refuses.
import { timingSafeEqual, X509Certificate } from 'node:crypto'
import type { AdmissionRecord } from '../../db/admission-lookup.ts'
import type { PresentedToken } from '../../db/enrollment/enrollment-tokens.ts'
import { reasons } from '../../db/reason.ts'
import { extensionIds } from '../../pki/certificate-extensions.ts'
import { fingerprintOf, keyTypeOf } from '../../pki/certificate-facts.ts'
import { type ReadCertificate, readCertificate } from '../../pki/certificate-reader.ts'
import { contentOf, tags, wholeElement } from '../../pki/der-reader.ts'
import { comparableName } from '../../pki/distinguished-name.ts'
import { keyTypeProblem } from '../../pki/key-policy.ts'
import { RSASSA_PSS, type SignatureAlgorithm } from '../../pki/signature-policy.ts'
import type { EnrollmentAuthentication, Presented } from '../enrollment/enrollment-authentication.ts'
import { enrollmentProblems } from '../enrollment/enrollment-problems.ts'
import { holderOf } from '../enrollment/enrollment-service.ts'
import type { SharedSecrets } from '../enrollment/shared-secrets.ts'
import { Problem } from '../http/problem.ts'
import type { SelfAuthentication } from '../self-service/self-authentication.ts'
import { selfProblems } from '../self-service/self-problems.ts'
import { oid, sequence } from '../x509/der.ts'
import { verifiesPss, verifiesSimply } from '../x509/proven-key.ts'
import { CmpFault } from './cmp-problems.ts'
import { createDerivations } from './derivations.ts'
import { isMac, macOf, readMacParameters } from './mac-protection.ts'
import type { CmpHeader, CmpMessage } from './message-reader.ts'
import type { Protection } from './message-writer.ts'

/** `name` is that of the actor; `mac` protects answers to what a MAC protected. */
export type Sender = { name: string; mac: Protection | null } & (
  | { kind: 'device'; record: AdmissionRecord; certificate: Buffer }
  | { kind: 'enrolling'; credential: Presented['credential']; token: PresentedToken | null }
)

export type CmpAuthentication = {
  /** `tls` is the certificate of the handshake, `address` that of the sender. Throws the problem where nothing, or not enough, was proved. */
  authenticate(message: CmpMessage, tls: X509Certificate | null, address: string): Promise<Sender>
}

type Parts = {
  knownToken: (id: string) => PresentedToken | null
  secrets: SharedSecrets
  enrollment: Pick<EnrollmentAuthentication, 'byToken' | 'byCertificate'>
  self: Pick<SelfAuthentication, 'decide'>
}

const REFERENCE = /^[0-9a-f-]{36}$/

export function createCmpAuthentication({ knownToken, secrets, enrollment, self }: Parts): CmpAuthentication {
  const derive = createDerivations()

  async function byMac(
    { header, protectedPart }: CmpMessage,
    algorithm: NonNullable<CmpHeader['protectionAlgorithm']>,
    protection: Buffer,
    address: string,
  ): Promise<Sender> {
    const parameters = readMacParameters(algorithm)
    const reference = header.senderKid?.toString('latin1') ?? ''
    const token = REFERENCE.test(reference) ? knownToken(reference) : null
    if (token === null)
      throw new Problem(
        enrollmentProblems,
        'enrollment_token_refused',
        'senderKID is the reference of no enrollment token',
      )
    const key = await derive(parameters, secrets.secretOf('cmp', token.id), address)
    const mac = macOf(parameters, key, protectedPart)
    if (mac.length !== protection.length || !timingSafeEqual(mac, protection))
      throw new CmpFault('badMessageCheck', 'the MAC is not made with the secret of that reference')
    const presented = enrollment.byToken(token)
    if (presented instanceof Problem) throw presented
    const { credential } = presented
    const answers: Protection = {
      algorithm: sequence(oid(algorithm.oid), algorithm.parameters ?? Buffer.alloc(0)),
      senderKid: header.senderKid,
      protect: async bytes => macOf(parameters, key, bytes),
    }
    return { kind: 'enrolling', name: holderOf(credential), credential, token, mac: answers }
  }

  function bySignature(message: CmpMessage, algorithm: SignatureAlgorithm, protection: Buffer): Sender {
    const certificate = signerOf(message)
    // Before the signature: a stranger's key may be one that takes long to verify with.
    const unfit = keyTypeProblem(keyTypeOf(certificate.publicKey))
    if (unfit !== null) throw new CmpFault('signerNotTrusted', `extraCerts: ${unfit}`)
    const proof = { ...algorithm, signed: message.protectedPart, signature: protection }
    const made =
      algorithm.oid === RSASSA_PSS
        ? verifiesPss(certificate.publicKey, proof)
        : verifiesSimply(certificate.publicKey, proof)
    if (made === null) throw new CmpFault('badAlg', 'protectionAlg is no signature algorithm accepted here')
    if (!made)
      throw new CmpFault(
        'badMessageCheck',
        'the signature is not made with the key of the first certificate in extraCerts',
      )
    return byCertificate(certificate)
  }

  /** A certificate whose key was proved to be held. */
  function byCertificate(certificate: X509Certificate): Sender {
    const admission = self.decide(certificate)
    if (admission.admitted) {
      const { record } = admission
      const name = `device:${record.deviceId}`
      return { kind: 'device', name, mac: null, record, certificate: certificate.raw }
    }
    if (admission.record === null) {
      const presented = enrollment.byCertificate(certificate)
      if (!(presented instanceof Problem)) {
        const { credential } = presented
        return { kind: 'enrolling', name: holderOf(credential), credential, token: null, mac: null }
      }
      if (presented.reason !== 'enrollment_credential_missing') throw presented
    }
    throw new Problem(selfProblems, 'admission_refused', reasons[admission.reason].title, {
      errors: [{ path: 'certificate', message: admission.reason }],
    })
  }

  return {
    async authenticate(message, tls, address) {
      const { protection, header } = message
      const algorithm = header.protectionAlgorithm
      if (protection !== null && algorithm !== null) {
        return isMac(algorithm)
          ? byMac(message, algorithm, protection, address)
          : bySignature(message, algorithm, protection)
      }
      if (protection !== null || algorithm !== null)
        throw new CmpFault(
          'badMessageCheck',
          'of protection and protectionAlg one is there without the other',
        )
      if (tls !== null) return byCertificate(tls)
      throw new Problem(
        enrollmentProblems,
        'enrollment_credential_missing',
        'the message has no protection, and the TLS handshake showed no certificate',
      )
    },
  }
}

/** The first certificate of extraCerts (RFC 9483 §3.3), which senderKID and sender must name. */
function signerOf({ header, extraCerts }: CmpMessage): X509Certificate {
  const [der] = extraCerts
  if (der === undefined)
    throw new CmpFault('badMessageCheck', 'extraCerts does not begin with the certificate of the signer')
  const reading = readCertificate(der)
  if ('problem' in reading)
    throw new CmpFault('badMessageCheck', `extraCerts: ${reading.problem.path}: ${reading.problem.message}`)
  const { certificate } = reading
  const keyId = subjectKeyIdOf(certificate)
  if (keyId !== null && (header.senderKid === null || !header.senderKid.equals(keyId)))
    throw new CmpFault(
      'badMessageCheck',
      'senderKID is not the key identifier of the first certificate in extraCerts',
    )
  const { senderName } = header
  if (senderName === null || comparableName(senderName) !== comparableName(certificate.subject.der))
    throw new CmpFault('badMessageCheck', 'sender is not the subject of the first certificate in extraCerts')
  const node = nodeCertificateOf(der)
  if (node === null) throw new CmpFault('badMessageCheck', 'extraCerts: the first certificate cannot be read')
  return node
}

/** Null where OpenSSL cannot read it or its key, or reads other bytes. */
function nodeCertificateOf(der: Buffer): X509Certificate | null {
  try {
    const certificate = new X509Certificate(der)
    return certificate.raw.equals(der) && certificate.publicKey !== null ? certificate : null
  } catch {
    return null
  }
}

/** The subjectKeyIdentifier; null where it has none. */
export function subjectKeyIdOf({ extensions }: Pick<ReadCertificate, 'extensions'>): Buffer | null {
  const found = extensions.find(extension => extension.oid === extensionIds.subjectKeyIdentifier)
  if (found === undefined) return null
  try {
    return contentOf(found.value, wholeElement(found.value, tags.octetString))
  } catch {
    throw new CmpFault('badMessageCheck', 'extraCerts: subjectKeyIdentifier cannot be read')
  }
}

/** Names a certificate of a device among senders, so that no other one goes on with its transactions. */
export function transactionSenderOf(sender: Sender): string {
  return sender.kind === 'device' ? fingerprintOf(sender.certificate) : sender.name
}
