// The certificate that broker and API show: issued by our own CA, renewed before it ends or when its names change.
// Its key stays, so that a renewal replaces one file and a reader never holds half a pair.
import { createPublicKey, type KeyObject, X509Certificate } from 'node:crypto'
import { rmSync } from 'node:fs'
import { isIP } from 'node:net'
import { hostname } from 'node:os'
import type { Actor } from '../../db/audit/audit.ts'
import type { CertificateWriter } from '../../db/issuance/certificate-writer.ts'
import { fingerprintOf, spkiHashOf, validityIn } from '../../pki/certificate-facts.ts'
import { toPem } from '../../pki/pem.ts'
import { type DataDirectory, readText, replaceFile } from '../data-directory.ts'
import type { IssuingCa } from './issuing-ca.ts'
import { generateKey, readKey, spkiOf, writeKey } from './keys.ts'
import { randomSerialNumber, serverProfile, validityOf } from './profile.ts'

/** PEM: the certificate with its chain, and its key. */
export type ServerIdentity = { cert: string; key: string }

type ServerCertificate = {
  /** Issues where it is due; gives the identity to serve and whether it is new. */
  keep(): Promise<ServerIdentity & { renewed: boolean }>
}

export const SERVER_DAYS = 90
/** Renewed when two thirds of its life are over. */
const RENEWAL_SHARE = 2 / 3
const SYSTEM: Actor = { name: 'system', kind: 'service' }

export function createServerCertificate(parts: {
  directory: DataDirectory
  ca: () => IssuingCa
  writer: Pick<CertificateWriter, 'recordIntent' | 'completeIntent'>
  sans: readonly string[]
  now: () => number
  /** It is due, and could not be issued: the one there is holds on. */
  onNotRenewed(error: unknown): void
}): ServerCertificate {
  const { directory, writer, sans, now } = parts

  function findOrMakeKey(): KeyObject {
    const found = readKey(directory.serverKey)
    if (found !== null) return found
    // The certificate of the lost key goes first: a process that waits for both files must not read a pair that does not match.
    rmSync(directory.serverCertificate, { force: true })
    const key = generateKey('p256')
    writeKey(directory.serverKey, key)
    return key
  }

  async function issue(ca: IssuingCa, key: KeyObject): Promise<string> {
    const spki = spkiOf(key)
    const serialNumber = randomSerialNumber()
    const validity = validityOf(SERVER_DAYS, now(), ca.notAfter)
    const spkiHash = spkiHashOf(createPublicKey(key))
    await writer.recordIntent(
      { serialNumber, issuerId: ca.id, deviceId: 'server', spkiHash, purpose: 'server', ...validity },
      SYSTEM,
    )
    const der = await ca.sign({ profile: serverProfile(sans), spki, serialNumber, validity })
    await writer.completeIntent(serialNumber, fingerprintOf(der), SYSTEM)
    const cert = [toPem(der, 'CERTIFICATE'), ...ca.chain].join('')
    replaceFile(directory.serverCertificate, cert, 0o644)
    return cert
  }

  return {
    async keep() {
      const ca = parts.ca()
      const keyObject = findOrMakeKey()
      const key = keyObject.export({ type: 'pkcs8', format: 'pem' }) as string
      const found = readText(directory.serverCertificate)
      if (found !== null && serves(found, keyObject, ca, sans, now()))
        return { cert: found, key, renewed: false }
      if (ca.notAfter <= now())
        throw new Error(
          'the issuing CA has expired: the server certificate cannot be renewed. Check the clock of this machine; else put ' +
            'keys/root.key back for one start, which makes another issuing CA',
        )
      try {
        return { cert: await issue(ca, keyObject), key, renewed: true }
      } catch (error) {
        if (found === null || !holds(found, keyObject, now())) throw error
        parts.onNotRenewed(error)
        return { cert: found, key, renewed: false }
      }
    },
  }
}

/** Whether a server certificate is of this key and not at its end: shown on where a newer one cannot be had. */
function holds(pem: string, key: KeyObject, now: number): boolean {
  try {
    const certificate = new X509Certificate(pem)
    const { notBefore, notAfter } = validityIn(certificate)
    return certificate.publicKey.equals(createPublicKey(key)) && now >= notBefore && now < notAfter
  } catch {
    return false
  }
}

/** Whether a server certificate may go on being shown. */
function serves(pem: string, key: KeyObject, ca: IssuingCa, sans: readonly string[], now: number): boolean {
  let certificate: X509Certificate
  try {
    certificate = new X509Certificate(pem)
  } catch {
    return false
  }
  const { notBefore: begins, notAfter: ends } = validityIn(certificate)
  return (
    certificate.publicKey.equals(createPublicKey(key)) &&
    certificate.verify(ca.certificate.publicKey) &&
    pem.endsWith(ca.chain.join('')) &&
    sameNames(certificate, sans) &&
    now >= begins &&
    (now < begins + (ends - begins) * RENEWAL_SHARE ||
      (ends === Math.floor(ca.notAfter / 1000) * 1000 && now < ends))
  )
}

/** Compared as the set of names a certificate of ours prints; anything else in there is a difference. */
function sameNames(certificate: X509Certificate, sans: readonly string[]): boolean {
  const wanted = sans.map(san => (isIP(san) === 0 ? `DNS:${san}` : `IP Address:${printedAddress(san)}`))
  const present = (certificate.subjectAltName ?? '').split(', ')
  return wanted.length === present.length && wanted.every(name => present.includes(name))
}

/** OpenSSL prints IPv6 addresses in full, in upper case and without leading zeros. */
function printedAddress(address: string): string {
  if (isIP(address) === 4) return address
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::')
  const front = head === '' ? [] : head.split(':')
  const back = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? 0 : 8 - front.length - back.length
  return [...front, ...Array<string>(zeros).fill('0'), ...back].join(':').toUpperCase()
}

/** The names a server is reached by: this machine's own, the address it listens on, and those an operator added. */
export function serverNames(host: string, added: readonly string[]): string[] {
  const names = ['localhost', '127.0.0.1', '::1', hostname(), host, ...added]
    .map(name => name.toLowerCase())
    .filter(name => isServerName(name) && name !== '0.0.0.0' && name !== '::')
  return [...new Set(names)]
}

/** Whether a name can stand in a subjectAltName of ours: an IP address or a DNS name (wildcard label allowed). */
export function isServerName(name: string): boolean {
  return isIP(name) !== 0 ? !name.includes('%') : name.length <= 253 && DNS_NAME.test(name)
}

const DNS_NAME = /^(\*\.)?[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?)*$/i

/** When a certificate (PEM) ends, in ms since the epoch, and the names in it. */
export function certificateValidity(pem: string): { notAfter: number; names: string[] } {
  const certificate = new X509Certificate(pem)
  const { subjectAltName } = certificate
  const names = (subjectAltName ?? '').split(', ').map(name => name.replace(/^(DNS|IP Address):/, ''))
  return { notAfter: validityIn(certificate).notAfter, names }
}
