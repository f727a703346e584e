// What a data directory needs before anything can be served, made where missing: root, issuing CA, their registry
// rows, admin token, default policies. Every step can be interrupted and run again; a second start changes nothing.
import { X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import type { Actor } from '../db/audit/audit.ts'
import type { RegistryWriter } from '../db/index.ts'
import type { Issuer } from '../db/issuers/issuer-store.ts'
import type { Rotation } from '../db/issuers/rotation-store.ts'
import { fingerprintOf, validityIn } from '../pki/certificate-facts.ts'
import { toPem } from '../pki/pem.ts'
import type { CaKeys } from './ca/ca-keys.ts'
import { findSigner } from './ca/ca-manager.ts'
import { certificateOf, signItself } from './ca/issuing-ca.ts'
import { caOrder, issuingName, signIssuing } from './ca/issuing-certificate.ts'
import { type CaKeyType, spkiOf } from './ca/keys.ts'
import { rootProfile } from './ca/profile.ts'
import type { Signer } from './ca/signer.ts'
import { type DataDirectory, readText, replaceFile } from './data-directory.ts'
import { defaultPolicies } from './policies/default-policies.ts'

type BootstrapOptions = {
  directory: DataDirectory
  writer: Pick<RegistryWriter, 'addIssuer' | 'foundPolicies' | 'holderOf' | 'replaceToken' | 'rotateIssuing'>
  issuers: Map<string, Issuer>
  rotations: readonly Rotation[]
  /** Whether other services share the registry: they may have made what is missing here. */
  shared: boolean
  keys: CaKeys
  keyTypes: { root: CaKeyType; issuing: CaKeyType }
  now: () => number
}

/** `made` names what was made, for the log; empty on a second start. */
type Founded = { root: X509Certificate; issuing: Pair; made: string[] }
type Pair = { certificate: X509Certificate; signer: Signer }

const ROOT_DAYS = 20 * 365
const SYSTEM: Actor = { name: 'system', kind: 'service' }

/** Finds or makes everything. Throws an error that says what to do where a part is lost that cannot be made again. */
export async function bootstrap(start: BootstrapOptions): Promise<Founded> {
  const { directory, writer } = start
  assertNotEmptied(start)
  const made: string[] = []
  const root = await findOrMakeRoot(start, made)
  const first = start.rotations.length === 0 ? await findOrMakeIssuing(start, root, made) : null
  const rootId = await writer.addIssuer(
    { der: root.certificate.raw, name: 'Rollcall root CA', kind: 'root', parentId: null },
    SYSTEM,
  )
  if (first !== null) {
    await writer.addIssuer(
      { der: first.certificate.raw, name: issuingName(0), kind: 'issuing', parentId: rootId },
      SYSTEM,
    )
  }
  const found = first ?? findRotated(start)
  const issuing = (await replaceExpired(start, root, found)) ?? found
  if (issuing !== found) made.push('issuing CA')
  if (await writer.foundPolicies(defaultPolicies, SYSTEM)) made.push('default policies')
  // It is the token of one machine: another one would end it.
  if ((!start.shared || start.issuers.size === 0) && (await keepAdminToken(directory, writer)))
    made.push('admin token')
  return { root: root.certificate, issuing, made }
}

/**
 * The admin token comes last at a first start: where it is there, issuers once were. A registry without any was cut to
 * nothing, and going on would silently forget every device and revocation.
 */
function assertNotEmptied({ directory, issuers }: BootstrapOptions): void {
  if (issuers.size > 0 || readText(directory.adminToken) === null) return
  throw new Error(
    `${directory.registry} is empty although ${directory.path} holds a CA: restore it from a backup, or name an empty directory with --data`,
  )
}

/** The root's key may be moved offline once the issuing CA exists: `key` is null then. */
type Root = { certificate: X509Certificate; signer: Signer | null }

async function findOrMakeRoot(start: BootstrapOptions, made: string[]): Promise<Root> {
  const { directory, keyTypes, now } = start
  const files = { certificate: directory.rootCertificate, key: directory.rootKey }
  const found = findPair(files, 'root', start)
  if (found.certificate !== null) return { certificate: found.certificate, signer: found.signer }
  const signer = found.signer ?? start.keys.make(files.key, keyTypes.root)
  const der = await signItself(signer, caOrder(rootProfile('Rollcall root CA'), ROOT_DAYS, now()))
  replaceFile(files.certificate, toPem(der, 'CERTIFICATE'), 0o644)
  made.push('root CA')
  return { certificate: new X509Certificate(der), signer }
}

async function findOrMakeIssuing(start: BootstrapOptions, root: Root, made: string[]): Promise<Pair> {
  const { directory, keyTypes, now } = start
  const files = { certificate: directory.issuingCertificate, key: directory.issuingKey }
  const found = findPair(files, 'issuing', start)
  if (found.certificate !== null) {
    if (found.signer === null) {
      throw new Error(
        start.shared
          ? `${files.key} is missing, so nothing can be issued: copy keys/ from the machine that made the CA, as docs/several-machines.md says`
          : `${files.key} is missing, so nothing can be issued: restore it from a backup`,
      )
    }
    if (!found.certificate.verify(root.certificate.publicKey)) {
      throw new Error(
        `${files.certificate} was not issued by the root in ${directory.rootCertificate}: restore both from one backup`,
      )
    }
    return { certificate: found.certificate, signer: found.signer }
  }
  if (root.signer === null) {
    throw new Error(`${directory.rootKey} is needed to make the issuing CA: put it back for one start`)
  }
  const signer = found.signer ?? start.keys.make(files.key, keyTypes.issuing)
  const order = { spki: spkiOf(signer.publicKey), name: issuingName(0), now: now() }
  const der = await signIssuing({ certificate: root.certificate, signer: root.signer }, order)
  replaceFile(files.certificate, toPem(der, 'CERTIFICATE'), 0o644)
  made.push('issuing CA')
  return { certificate: new X509Certificate(der), signer }
}

/** The CA of the last rotation: its certificate is in the registry, its key somewhere in `keys/`. */
function findRotated({ directory, keys, issuers, rotations, shared }: BootstrapOptions): Pair {
  const id = rotations.at(-1)?.issuerId ?? ''
  const certificate = issuers.get(id)?.certificate
  const signer = certificate === undefined ? null : findSigner(directory, keys, certificate)
  if (certificate === undefined || signer === null) {
    throw new Error(
      `no key in ${directory.keys} is that of the issuing CA ${id}, so nothing can be issued: ${
        shared ? 'copy it from the service that made it' : 'restore it from a backup'
      }`,
    )
  }
  const pem = toPem(certificate.raw, 'CERTIFICATE')
  if (readText(directory.issuingCertificate) !== pem) replaceFile(directory.issuingCertificate, pem, 0o644)
  return { certificate, signer }
}

/** An issuing CA that has ended is followed by another at once where the root's key is here; nothing could be issued else. */
async function replaceExpired(start: BootstrapOptions, root: Root, issuing: Pair): Promise<Pair | null> {
  const { directory, keys, keyTypes, rotations, writer, now } = start
  if (validityIn(issuing.certificate).notAfter > now() || root.signer === null) return null
  if (validityIn(root.certificate).notAfter <= now()) return null
  const name = issuingName(rotations.length + 1)
  const file = join(directory.keys, `issuing-${rotations.length + 2}.key`)
  const signer = keys.read(file) ?? keys.make(file, keyTypes.issuing)
  const der = await signIssuing(
    { certificate: root.certificate, signer: root.signer },
    { spki: spkiOf(signer.publicKey), name, now: now() },
  )
  const rootId = fingerprintOf(root.certificate.raw)
  await writer.rotateIssuing({ der, name, rootId, spreadMs: 0 }, SYSTEM)
  replaceFile(directory.issuingCertificate, toPem(der, 'CERTIFICATE'), 0o644)
  return { certificate: new X509Certificate(der), signer }
}

/**
 * The certificate and key of a CA as they are on disk; a certificate file that was lost is written again from the
 * registry, which knows it as an issuer. Throws where the two do not belong together.
 */
function findPair(
  files: { certificate: string; key: string },
  kind: 'root' | 'issuing',
  { issuers, keys }: BootstrapOptions,
): { certificate: X509Certificate | null; signer: Signer | null } {
  const signer = keys.read(files.key)
  const text = readText(files.certificate)
  if (text === null) {
    const known = [...issuers.values()].find(
      issuer => issuer.kind === kind && (signer === null || belong(issuer.certificate, signer)),
    )
    if (known === undefined) return { certificate: null, signer }
    replaceFile(files.certificate, toPem(known.certificate.raw, 'CERTIFICATE'), 0o644)
    return { certificate: known.certificate, signer }
  }
  const certificate = certificateOf(text, files.certificate)
  if (signer !== null && !belong(certificate, signer)) {
    throw new Error(`${files.key} is not the key of ${files.certificate}: restore both from one backup`)
  }
  return { certificate, signer }
}

function belong(certificate: X509Certificate, signer: Signer): boolean {
  return certificate.publicKey.equals(signer.publicKey)
}

const ADMIN_TOKEN = 'admin.token'

/**
 * The file is the one place of this token: where it is lost or its token no longer accepted, a new one is written and
 * the old one ends. So removing the file and starting again is how the token is changed.
 */
async function keepAdminToken(
  directory: DataDirectory,
  writer: BootstrapOptions['writer'],
): Promise<boolean> {
  const token = readText(directory.adminToken)?.trim()
  if (token !== undefined && writer.holderOf(token) !== null) return false
  replaceFile(
    directory.adminToken,
    `${await writer.replaceToken({ name: ADMIN_TOKEN, role: 'admin' }, SYSTEM)}\n`,
    0o600,
  )
  return true
}
