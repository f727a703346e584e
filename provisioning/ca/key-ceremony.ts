// What is done by hand to the keys of the CA, on the machine that has them: putting all under a passphrase, changing it,
// and taking the root's key away. Every step can be interrupted and run again.
import { createPublicKey, type KeyObject, randomBytes, sign, verify } from 'node:crypto'
import { closeSync, fsyncSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { toPem } from '../../pki/pem.ts'
import { type DataDirectory, readText, replaceFile } from '../data-directory.ts'
import { certificateOf } from './issuing-ca.ts'
import { readKey } from './keys.ts'
import { isSealed, openKey, sealKey } from './sealed-key.ts'
import { signatureAlgorithmOf } from './signer.ts'

export type SealedFile = { file: string; outcome: 'encrypted' | 'changed' | 'unchanged' }

/**
 * Puts every CA key under `passphrase`. Nothing is written until all of them could be opened: with the new passphrase
 * (an earlier run did them), with the old one, or in the clear.
 */
export function sealCaKeys(directory: DataDirectory, passphrase: string, old: string | null): SealedFile[] {
  const opened = caKeyFiles(directory).map(file => ({ file, ...open(file, passphrase, old) }))
  for (const { file, key, outcome } of opened) {
    if (outcome === 'unchanged') continue
    const sealed = sealKey(key, passphrase)
    if (openKey(sealed, passphrase)?.equals(key) !== true) throw new Error(`${file} could not be encrypted`)
    replaceFile(file, sealed, 0o600)
  }
  return opened.map(({ file, outcome }) => ({ file, outcome }))
}

function open(
  file: string,
  passphrase: string,
  old: string | null,
): { key: KeyObject; outcome: SealedFile['outcome'] } {
  const pem = readText(file) ?? ''
  if (!isSealed(pem)) return { key: keyIn(file), outcome: 'encrypted' }
  const already = openKey(pem, passphrase)
  if (already !== null) return { key: already, outcome: 'unchanged' }
  const key = old === null ? null : openKey(pem, old)
  if (key !== null) return { key, outcome: 'changed' }
  throw new Error(
    old === null
      ? `${file} is encrypted with another passphrase: name that one with --old-passphrase-file`
      : `neither the old nor the new passphrase opens ${file}: nothing was changed`,
  )
}

/** Files of keys that this service signs with as a CA; one that only points at a token holds none. */
function caKeyFiles({ keys, rootKey }: DataDirectory): string[] {
  const issuing = readdirSync(keys).filter(name => /^issuing.*\.key$/.test(name))
  const files = [
    ...(readText(rootKey) === null ? [] : [rootKey]),
    ...issuing.sort().map(name => join(keys, name)),
  ]
  return files.filter(file => readText(file)?.includes('PRIVATE KEY'))
}

/** Writes root certificate and key, sealed, into a new file and proves that the file can be used. */
export function exportRoot(
  directory: DataDirectory,
  file: string,
  passphrases: { local: string | null; exported: string },
): { file: string; fingerprint: string } {
  const pem = readText(directory.rootKey)
  if (pem === null) throw new Error(`${directory.rootKey} is not here: it was moved offline already`)
  const key = isSealed(pem) ? openKey(pem, passphrases.local ?? '') : keyIn(directory.rootKey)
  if (key === null) {
    throw new Error(
      `${directory.rootKey} is encrypted and the passphrase does not open it: name its file in ROLLCALL_CA_PASSPHRASE_FILE`,
    )
  }
  const certificate = certificateOf(readText(directory.rootCertificate) ?? '', directory.rootCertificate)
  const descriptor = openSync(file, 'wx', 0o600)
  try {
    writeSync(descriptor, toPem(certificate.raw, 'CERTIFICATE') + sealKey(key, passphrases.exported))
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
  const exported = readRoot(file, passphrases.exported)
  if (!exported.certificate.raw.equals(certificate.raw))
    throw new Error(`${file} does not read back: ${NOT_REMOVED}`)
  return { file, fingerprint: certificate.fingerprint256.replaceAll(':', '').toLowerCase() }
}

const NOT_REMOVED = 'the key in the data directory was left as it is'

/** Root certificate and key as `exportRoot` wrote them; proven to belong together by a signature. */
export function readRoot(file: string, passphrase: string) {
  const text = readFileSync(file, 'utf8')
  const certificate = certificateOf(text, file)
  const key = openKey(text, passphrase)
  if (key === null) throw new Error(`the passphrase does not open the key in ${file}`)
  const proof = randomBytes(32)
  const { hash } = signatureAlgorithmOf(createPublicKey(key))
  if (!verify(hash, proof, certificate.publicKey, sign(hash, proof, key))) {
    throw new Error(`the key in ${file} is not that of the certificate beside it`)
  }
  return { certificate, key }
}

export function removeRootKey({ rootKey }: DataDirectory): void {
  rmSync(rootKey)
}

function keyIn(file: string): KeyObject {
  const key = readKey(file)
  if (key === null) throw new Error(`${file} is gone`)
  return key
}
