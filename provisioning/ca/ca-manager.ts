// Which CA issues, which did before, and the hand-over from one to the next. The registry says which one issues; here are the
// keys. A hand-over is one transaction: before it nothing has changed, after it a start goes on from it.
import 'reflect-metadata'
import { X509Certificate } from 'node:crypto'
import { readdirSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Extension } from '@peculiar/x509'
import type { Actor } from '../../db/audit/audit.ts'
import type { Issuer } from '../../db/issuers/issuer-store.ts'
import type { Rotation, RotationWriter } from '../../db/issuers/rotation-store.ts'
import { fingerprintOf, validityIn } from '../../pki/certificate-facts.ts'
import { toPem } from '../../pki/pem.ts'
import { type DataDirectory, readText, replaceFile, tightenModes } from '../data-directory.ts'
import type { Fault } from '../http/problem.ts'
import { bitString, integer, nothing, oid, sequence, tagged } from '../x509/der.ts'
import type { CaKeys } from './ca-keys.ts'
import { certificateOf, createIssuingCa, type IssuingCa } from './issuing-ca.ts'
import { issuingFaults, issuingName, signIssuing } from './issuing-certificate.ts'
import { type CaKeyType, spkiOf } from './keys.ts'
import { issuingProfile } from './profile.ts'
import type { Signer } from './signer.ts'

type RotationOrder = {
  /** PEM of a certificate that the offline root signed for the last request; null has the root here sign. */
  certificate: string | null
  spreadMs: number
}
type RotationRefused = {
  refused: 'root_key_offline' | 'rotation_running' | 'certificate_invalid'
  faults: Fault[]
}

export type CaManager = {
  /** The CA that issues. */
  current(): IssuingCa
  /** The ID of the CA that is to issue, by the registry. */
  activeId(): string
  /** Whether the key of that CA is missing here, so that the one before goes on issuing, unless it was retired. */
  isKeyMissing(): boolean
  /** Whether the key of an issuing CA is here. */
  isKeyHere(issuerId: string): boolean
  /**
   * Goes on from what another service did with the registry that they share: once the key of the CA that is to issue lies here, that one
   * issues. Gives whether another one does now.
   */
  refresh(): boolean
  /** Every issuing CA that can still sign about its certificates, the current one first. */
  all(): readonly IssuingCa[]
  rotations(): readonly Rotation[]
  /** Without those whose CA does not issue here yet. */
  rotationsHere(): readonly Rotation[]
  rootKeyHere(): boolean
  /** PEM of a request for the next issuing CA, to be signed by an offline root. The same until it is used. */
  request(): Promise<{ csr: string; name: string }>
  rotate(order: RotationOrder, actor: Actor): Promise<{ issuerId: string; epoch: number } | RotationRefused>
}

type CaManagerOptions = {
  directory: DataDirectory
  keys: CaKeys
  keyType: CaKeyType
  root: X509Certificate
  current: { certificate: X509Certificate; signer: Signer }
  issuers: () => Map<string, Issuer>
  readRotations: () => Rotation[]
  writer: RotationWriter
  pointers: (issuerId: string) => Extension[]
  /** Resolves once brokers know the new issuer, or are known not to answer. */
  acknowledged: (epoch: number) => Promise<unknown>
  /** A former CA whose key is lost: its CRL and OCSP cannot go on. */
  onKeyMissing: (issuerId: string) => void
  /** The CA that is to issue: whether its key is missing here, and what keeps one that is here from being read. */
  onActiveKey: (issuerId: string, isMissing: boolean, error: unknown) => void
  now: () => number
}

export function createCaManager(parts: CaManagerOptions): CaManager {
  const { directory, keys, root, issuers, writer, pointers, now } = parts
  let rotations = parts.readRotations()
  const nextKey = join(directory.keys, 'issuing-next.key')
  let cas = [open(parts.current), ...formers(fingerprintOf(parts.current.certificate.raw))]
  const firstId = cas[0]!.id
  let rotating = false
  /** The CA that is to issue and has no key here, with the files among which it was looked for. */
  let missing: { id: string; files: string } | null = null

  function open(pair: { certificate: X509Certificate; signer: Signer }): IssuingCa {
    return createIssuingCa({ root, ...pair, pointers })
  }

  function formers(currentId: string): IssuingCa[] {
    const others = [...issuers().values()].filter(({ id, kind }) => kind === 'issuing' && id !== currentId)
    return others.flatMap(({ id, certificate, notAfter }) => {
      if (notAfter <= now()) return []
      const signer = findSigner(directory, keys, certificate)
      if (signer === null) parts.onKeyMissing(id)
      return signer === null ? [] : [open({ certificate, signer })]
    })
  }

  function activeId(): string {
    return rotations.at(-1)?.issuerId ?? firstId
  }

  function refresh(): boolean {
    if (rotating) return false
    rotations = parts.readRotations()
    const id = activeId()
    if (id === cas[0]!.id) {
      missing = null
      return false
    }
    const issuer = issuers().get(id)
    const files = keyFilesOf(directory)
    // Opening an encrypted key takes its time: not again before a file has changed.
    if (issuer === undefined || (missing?.id === id && missing.files === files)) return false
    const found = find(issuer)
    if (found.signer === null) {
      missing = { id, files }
      parts.onActiveKey(id, true, found.error)
      return false
    }
    tightenModes(directory)
    cas = [open({ certificate: issuer.certificate, signer: found.signer }), ...cas.filter(ca => ca.id !== id)]
    replaceFile(directory.issuingCertificate, toPem(issuer.certificate.raw, 'CERTIFICATE'), 0o644)
    missing = null
    parts.onActiveKey(id, false, null)
    return true
  }

  function find({ certificate }: Issuer): { signer: Signer | null; error: unknown } {
    try {
      return { signer: findSigner(directory, keys, certificate), error: null }
    } catch (error) {
      return { signer: null, error } // it may be half copied
    }
  }

  function nextSigner(): Signer {
    return keys.read(nextKey) ?? keys.make(nextKey, parts.keyType)
  }

  async function certify(order: RotationOrder): Promise<Buffer | RotationRefused> {
    if (order.certificate !== null) return validated(order.certificate)
    const signer = keys.read(directory.rootKey)
    if (signer === null) return { refused: 'root_key_offline', faults: [] }
    const spki = spkiOf(nextSigner().publicKey)
    const name = issuingName(rotations.length + 1)
    return signIssuing({ certificate: root, signer }, { spki, name, now: now() })
  }

  function validated(pem: string): Buffer | RotationRefused {
    const faults = (...messages: string[]): RotationRefused => ({
      refused: 'certificate_invalid',
      faults: messages.map(message => ({ path: 'certificate', message })),
    })
    try {
      const certificate = certificateOf(pem, 'certificate')
      const found = issuingFaults(certificate, root, { publicKey: nextSigner().publicKey, now: now() })
      return found.length === 0 ? certificate.raw : faults(...found)
    } catch {
      return faults('it is no readable certificate')
    }
  }

  async function handOver(order: RotationOrder, actor: Actor) {
    const der = await certify(order)
    if ('refused' in der) return der
    const certificate = new X509Certificate(der)
    const signer = nextSigner()
    // Its final name first: a key under a name that nobody looks for is harmless, a CA without its key is not.
    renameSync(nextKey, join(directory.keys, `issuing-${fingerprintOf(der).slice(0, 16)}.key`))
    const { issuerId, epoch, at } = await writer.rotateIssuing(
      {
        der,
        name: issuingName(rotations.length + 1),
        rootId: fingerprintOf(root.raw),
        spreadMs: order.spreadMs,
      },
      actor,
    )
    // Brokers must know it before a device comes with a certificate of it.
    await parts.acknowledged(epoch)
    rotations = [...rotations, { issuerId, at, spreadMs: order.spreadMs }]
    cas = [open({ certificate, signer }), ...cas]
    replaceFile(directory.issuingCertificate, toPem(der, 'CERTIFICATE'), 0o644)
    return { issuerId, epoch }
  }

  return {
    current: () => cas[0]!,
    activeId,
    isKeyMissing: () => missing !== null,
    isKeyHere: issuerId => cas.some(({ id }) => id === issuerId),
    refresh,
    all: () => cas.filter(({ certificate }, at) => at === 0 || validityIn(certificate).notAfter > now()),
    rotations: () => rotations,
    rotationsHere() {
      const last = rotations.findLastIndex(({ issuerId }) => issuerId === cas[0]!.id)
      return rotations.slice(0, last + 1)
    },
    rootKeyHere: () => readText(directory.rootKey) !== null,

    async request() {
      const name = issuingName(rotations.length + 1)
      return { csr: await requestOf(nextSigner(), name), name }
    },

    async rotate(order, actor) {
      if (rotating) return { refused: 'rotation_running', faults: [] }
      rotating = true
      try {
        return await handOver(order, actor)
      } finally {
        rotating = false
      }
    },
  }
}

/** The signer whose key is that of a certificate, wherever in `keys/` it lies. */
export function findSigner(
  directory: DataDirectory,
  keys: CaKeys,
  certificate: X509Certificate,
): Signer | null {
  const names = issuingKeys(directory)
  const own = `issuing-${fingerprintOf(certificate.raw).slice(0, 16)}.key`
  // Its own name first: opening an encrypted key takes its time.
  for (const name of names.sort((a, b) => Number(b === own) - Number(a === own))) {
    const signer = keys.read(join(directory.keys, name))
    if (signer?.publicKey.equals(certificate.publicKey)) return signer
  }
  return null
}

function issuingKeys(directory: DataDirectory): string[] {
  return readdirSync(directory.keys).filter(name => /^issuing.*\.key$/.test(name))
}

/** Changes whenever one of them does. */
function keyFilesOf(directory: DataDirectory): string {
  return issuingKeys(directory)
    .map(name => {
      // A link may lead nowhere, and a file may be gone since.
      const file = statSync(join(directory.keys, name), { throwIfNoEntry: false })
      return `${name} ${file?.mtimeMs} ${file?.size}`
    })
    .join('\n')
}

/** A PKCS #10 request (RFC 2986) without attributes. */
async function requestOf(signer: Signer, name: string): Promise<string> {
  const { oid: algorithmOid, nullParameters } = signer.algorithm
  const subject = new Uint8Array(issuingProfile(name).subject.toArrayBuffer())
  const info = sequence(integer('00'), subject, spkiOf(signer.publicKey), tagged(0))
  const algorithm = sequence(oid(algorithmOid), ...(nullParameters ? [nothing()] : []))
  return toPem(sequence(info, algorithm, bitString(await signer.sign(info))), 'CERTIFICATE REQUEST')
}
