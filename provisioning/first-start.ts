// What a data directory needs before anything can be served, made where missing: root, issuing CA, their registry
// rows, admin token, default policies. Every step can be interrupted and run again; a second start changes nothing.
import { createPublicKey, type KeyObject, X509Certificate } from 'node:crypto'
import type { Extension } from '@peculiar/x509'
import type { RegistryWriter } from '../db/index.ts'
import type { Issuer } from '../db/issuer-store.ts'
import { pemBlocks, toPem } from '../pki/pem.ts'
import type { CaKeys } from './ca-keys.ts'
import { type DataDirectory, readText, replaceFile } from './data-directory.ts'
import { defaultPolicies } from './default-policies.ts'
import { certificateOf, createIssuingCa, type IssuingCa, signItself, signUnder } from './issuing-ca.ts'
import { type CaKeyType, generateKey, spkiOf } from './keys.ts'
import {
  DAY_MS,
  issuingProfile,
  type Profile,
  randomSerialNumber,
  rootProfile,
  validityOf,
} from './profile.ts'
import { signerOf } from './signer.ts'

export type FirstStart = {
  directory: DataDirectory
  writer: Pick<RegistryWriter, 'addIssuer' | 'foundPolicies' | 'holderOf' | 'replaceToken'>
  issuers: Map<string, Issuer>
  keys: CaKeys
  keyTypes: { root: CaKeyType; issuing: CaKeyType }
  /** What certificates of an issuer say about where to ask. */
  pointers: (issuerId: string) => Extension[]
  now: () => number
}

/** `made` names what was made, for the log; empty on a second start. */
export type Founded = { ca: IssuingCa; made: string[] }

const ROOT_DAYS = 20 * 365
const ISSUING_DAYS = 10 * 365
const SYSTEM = { name: 'system' }

/** Finds or makes everything. Throws an error that says what to do where a part is lost that cannot be made again. */
export async function firstStart(start: FirstStart): Promise<Founded> {
  const { directory, writer } = start
  assertNotEmptied(start)
  const made: string[] = []
  const root = await findOrMakeRoot(start, made)
  const issuing = await findOrMakeIssuing(start, root, made)
  const rootId = await writer.addIssuer(
    { der: root.certificate.raw, name: 'Rollcall root CA', kind: 'root', parentId: null },
    SYSTEM,
  )
  await writer.addIssuer(
    { der: issuing.certificate.raw, name: 'Rollcall issuing CA', kind: 'issuing', parentId: rootId },
    SYSTEM,
  )
  if (await writer.foundPolicies(defaultPolicies, SYSTEM)) made.push('default policies')
  if (await keepAdminToken(directory, writer)) made.push('admin token')
  const { certificate, key } = issuing
  return {
    ca: createIssuingCa({
      root: root.certificate,
      certificate,
      signer: signerOf(key),
      pointers: start.pointers,
    }),
    made,
  }
}

/**
 * The admin token comes last at a first start: where it is there, issuers once were. A registry without any was cut to
 * nothing, and going on would silently forget every device and revocation.
 */
function assertNotEmptied({ directory, issuers }: FirstStart): void {
  if (issuers.size > 0 || readText(directory.adminToken) === null) return
  throw new Error(
    `${directory.registry} is empty although ${directory.path} holds a CA: restore it from a backup, or name an empty directory with --data`,
  )
}

/** The root's key may be moved offline once the issuing CA exists: `key` is null then. */
type Root = { certificate: X509Certificate; key: KeyObject | null }

async function findOrMakeRoot(start: FirstStart, made: string[]): Promise<Root> {
  const { directory, keyTypes, now } = start
  const files = { certificate: directory.rootCertificate, key: directory.rootKey }
  const found = findPair(files, 'root', start)
  if (found.certificate !== null) return { certificate: found.certificate, key: found.key }
  const key = found.key ?? makeKey(start.keys, files.key, keyTypes.root)
  const der = await signItself(key, caOrder(rootProfile('Rollcall root CA'), ROOT_DAYS, now()))
  replaceFile(files.certificate, toPem(der, 'CERTIFICATE'), 0o644)
  made.push('root CA')
  return { certificate: new X509Certificate(der), key }
}

async function findOrMakeIssuing(
  start: FirstStart,
  root: Root,
  made: string[],
): Promise<{ certificate: X509Certificate; key: KeyObject }> {
  const { directory, keyTypes, now } = start
  const files = { certificate: directory.issuingCertificate, key: directory.issuingKey }
  const found = findPair(files, 'issuing', start)
  if (found.certificate !== null) {
    if (found.key === null) {
      throw new Error(`${files.key} is missing, so nothing can be issued: restore it from a backup`)
    }
    if (!found.certificate.verify(root.certificate.publicKey)) {
      throw new Error(
        `${files.certificate} was not issued by the root in ${directory.rootCertificate}: restore both from one backup`,
      )
    }
    return { certificate: found.certificate, key: found.key }
  }
  if (root.key === null) {
    throw new Error(`${directory.rootKey} is needed to make the issuing CA: put it back for one start`)
  }
  const key = found.key ?? makeKey(start.keys, files.key, keyTypes.issuing)
  const order = caOrder(
    issuingProfile('Rollcall issuing CA'),
    ISSUING_DAYS,
    now(),
    Date.parse(root.certificate.validTo),
  )
  const issuer = { certificate: root.certificate, signer: signerOf(root.key) }
  const der = await signUnder(issuer, { ...order, spki: spkiOf(key) })
  replaceFile(files.certificate, toPem(der, 'CERTIFICATE'), 0o644)
  made.push('issuing CA')
  return { certificate: new X509Certificate(der), key }
}

/**
 * The certificate and key of a CA as they are on disk; a certificate file that was lost is written again from the
 * registry, which knows it as an issuer. Throws where the two do not belong together.
 */
function findPair(
  files: { certificate: string; key: string },
  kind: 'root' | 'issuing',
  { issuers, keys }: FirstStart,
): { certificate: X509Certificate | null; key: KeyObject | null } {
  const key = keys.read(files.key)
  const text = readText(files.certificate)
  if (text === null) {
    const known = [...issuers.values()].find(
      issuer => issuer.kind === kind && (key === null || belong(issuer.certificate, key)),
    )
    if (known === undefined) return { certificate: null, key }
    replaceFile(files.certificate, toPem(known.certificate.raw, 'CERTIFICATE'), 0o644)
    return { certificate: known.certificate, key }
  }
  const certificate = certificateOf(text, files.certificate)
  if (pemBlocks(text, 'CERTIFICATE').length !== 1) {
    throw new Error(`${files.certificate} must hold exactly one certificate: restore it from a backup`)
  }
  if (key !== null && !belong(certificate, key)) {
    throw new Error(`${files.key} is not the key of ${files.certificate}: restore both from one backup`)
  }
  return { certificate, key }
}

function belong(certificate: X509Certificate, key: KeyObject): boolean {
  return certificate.publicKey.equals(createPublicKey(key))
}

/** A key is on disk before anything is signed with it. */
function makeKey(keys: CaKeys, file: string, type: CaKeyType): KeyObject {
  const key = generateKey(type)
  keys.write(file, key)
  return key
}

function caOrder(profile: Profile, days: number, now: number, issuerNotAfter?: number) {
  return {
    profile,
    serialNumber: randomSerialNumber(),
    // A CA is older than what it signs in its first minutes, so that leaves may be backdated.
    validity: validityOf(days, now - DAY_MS, issuerNotAfter),
  }
}

const ADMIN_TOKEN = 'admin.token'

/**
 * The file is the one place of this token: where it is lost or its token no longer accepted, a new one is written and
 * the old one ends. So removing the file and starting again is how the token is changed.
 */
async function keepAdminToken(directory: DataDirectory, writer: FirstStart['writer']): Promise<boolean> {
  const token = readText(directory.adminToken)?.trim()
  if (token !== undefined && writer.holderOf(token) !== null) return false
  replaceFile(
    directory.adminToken,
    `${await writer.replaceToken({ name: ADMIN_TOKEN, role: 'admin' }, SYSTEM)}\n`,
    0o600,
  )
  return true
}
