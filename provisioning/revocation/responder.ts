// The OCSP responder's own certificate and key, one pair for each issuing CA: made where missing, renewed by itself.
// Delegated and short-lived, so that the CA's key signs no answers and a stolen responder key is soon worth nothing.
import { createPublicKey, X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import type { Actor } from '../../db/audit/audit.ts'
import type { CertificateWriter } from '../../db/issuance/certificate-writer.ts'
import { fingerprintOf, spkiHashOf, validityIn } from '../../pki/certificate-facts.ts'
import { toPem } from '../../pki/pem.ts'
import type { IssuingCa } from '../ca/issuing-ca.ts'
import { generateKey, readKey, spkiOf, writeKey } from '../ca/keys.ts'
import { randomSerialNumber, responderProfile, validityOf } from '../ca/profile.ts'
import { signerOf } from '../ca/signer.ts'
import { type DataDirectory, readText, replaceFile } from '../data-directory.ts'
import { keyHashOf } from './issuer-hashes.ts'
import type { Responder } from './ocsp-response.ts'
import { shortNameOf } from './short-name.ts'

export type Responders = {
  /** The responder of an issuing CA; null where it has none, as under a CA that has expired. */
  of(issuerId: string): Responder | null
  /** Makes and renews what is due. Throws where that fails; what is there is used on. */
  keep(): Promise<void>
}

const RESPONDER_DAYS = 14
const SYSTEM: Actor = { name: 'system', kind: 'service' }

export function createResponders(parts: {
  directory: DataDirectory
  cas: () => readonly IssuingCa[]
  writer: Pick<CertificateWriter, 'recordIntent' | 'completeIntent'>
  now: () => number
}): Responders {
  const { directory, cas, writer, now } = parts
  const kept = new Map<string, Responder>()

  function filesOf(ca: IssuingCa): { key: string; certificate: string } {
    const name = `ocsp-${shortNameOf(ca.id)}`
    return { key: join(directory.keys, `${name}.key`), certificate: join(directory.path, `${name}.crt`) }
  }

  function find(ca: IssuingCa): Responder | null {
    const files = filesOf(ca)
    const pem = readText(files.certificate)
    try {
      const key = readKey(files.key)
      if (pem === null || key === null) return null
      const certificate = new X509Certificate(pem)
      const fits =
        certificate.checkPrivateKey(key) &&
        certificate.checkIssued(ca.certificate) &&
        certificate.verify(ca.certificate.publicKey)
      return fits ? { certificate, signer: signerOf(key), keyHash: keyHashOf(certificate, 'sha1') } : null
    } catch {
      // Damaged: another one is made.
      return null
    }
  }

  /** The key goes to disk first; a start that finds a key and a certificate that do not fit makes both anew. */
  async function make(ca: IssuingCa): Promise<Responder> {
    const files = filesOf(ca)
    const key = generateKey('p256')
    const serialNumber = randomSerialNumber()
    const validity = validityOf(RESPONDER_DAYS, now(), ca.notAfter)
    const spkiHash = spkiHashOf(createPublicKey(key))
    await writer.recordIntent(
      { serialNumber, issuerId: ca.id, deviceId: 'ocsp', spkiHash, purpose: 'server', ...validity },
      SYSTEM,
    )
    const der = await ca.sign({ profile: responderProfile(), spki: spkiOf(key), serialNumber, validity })
    await writer.completeIntent(serialNumber, fingerprintOf(der), SYSTEM)
    writeKey(files.key, key)
    replaceFile(files.certificate, toPem(der, 'CERTIFICATE'), 0o644)
    const certificate = new X509Certificate(der)
    return { certificate, signer: signerOf(key), keyHash: keyHashOf(certificate, 'sha1') }
  }

  return {
    of(issuerId) {
      const responder = kept.get(issuerId) ?? null
      return responder !== null && validityIn(responder.certificate).notAfter > now() ? responder : null
    },

    async keep() {
      const failures: unknown[] = []
      for (const ca of cas()) {
        if (ca.notAfter <= now()) continue
        try {
          const found = kept.get(ca.id) ?? find(ca)
          kept.set(ca.id, found !== null && serves(found.certificate, ca, now()) ? found : await make(ca))
        } catch (error) {
          // Another CA has its responder all the same.
          failures.push(error)
        }
      }
      if (failures.length > 0) throw failures[0]
    },
  }
}

/** In the first half of its life; or as long as the CA lets it, at the end of the CA's own. */
function serves(certificate: X509Certificate, ca: IssuingCa, now: number): boolean {
  const { notBefore: begins, notAfter: ends } = validityIn(certificate)
  const last = ends >= Math.floor(ca.notAfter / 1000) * 1000
  return now >= begins && (now < begins + (ends - begins) / 2 || (last && now < ends))
}
