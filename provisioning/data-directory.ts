// Where everything lives in the data directory, and how a file there is replaced: whole or not at all.
// Knows paths and modes; refuses to know what the files hold.
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'

export type DataDirectory = Readonly<{
  path: string
  registry: string
  adminToken: string
  rootCertificate: string
  issuingCertificate: string
  serverCertificate: string
  keys: string
  rootKey: string
  issuingKey: string
  serverKey: string
  auditKey: string
  sharedSecretKey: string
  auditPublicKey: string
  auditCheckpoint: string
  crls: string
  lock: string
}>

/** The paths of a data directory. Touches nothing. */
export function dataDirectory(directory: string): DataDirectory {
  const path = resolve(directory)
  const keys = join(path, 'keys')
  return {
    path,
    registry: join(path, 'registry.db'),
    adminToken: join(path, 'admin.token'),
    rootCertificate: join(path, 'ca.crt'),
    issuingCertificate: join(path, 'issuing.crt'),
    serverCertificate: join(path, 'server.crt'),
    keys,
    rootKey: join(keys, 'root.key'),
    issuingKey: join(keys, 'issuing.key'),
    serverKey: join(keys, 'server.key'),
    auditKey: join(keys, 'audit.key'),
    sharedSecretKey: join(keys, 'shared-secrets.key'),
    auditPublicKey: join(path, 'audit.pub'),
    auditCheckpoint: join(path, 'audit.checkpoint'),
    crls: join(path, 'crl'),
    lock: join(keys, 'provisioning.lock'),
  }
}

/** Makes the directory and its `keys/` (both 0700) where missing. Throws an error that says what to do. */
export function createDataDirectory(directory: DataDirectory): void {
  try {
    mkdirSync(directory.path, { recursive: true, mode: 0o700 })
    mkdirSync(directory.keys, { recursive: true, mode: 0o700 })
    chmodSync(directory.keys, 0o700)
    // A probe, because a right to list is not a right to write and a full disk shows only here.
    const probe = temporaryName(join(directory.path, 'probe'))
    closeSync(openSync(probe, 'wx', 0o600))
    rmSync(probe)
  } catch (error) {
    throw unwritable(directory.path, error)
  }
}

/** A CA without its registry: beginning anew would silently forget every revocation. */
export function assertNotLost({ registry, rootCertificate, path }: DataDirectory): void {
  if (!existsSync(rootCertificate) || existsSync(registry)) return
  throw new Error(
    `${registry} is missing although ${path} holds a CA: restore it from a backup, or name an empty directory with --data`,
  )
}

/** Removes what an interrupted `replaceFile` left. Only for the holder of the directory's lock. */
export function removeTemporaryFiles(directory: DataDirectory): void {
  for (const folder of [directory.path, directory.keys]) {
    for (const name of readdirSync(folder)) {
      if (TEMPORARY.test(name)) rmSync(join(folder, name), { force: true })
    }
  }
}

/** Takes from others what only this user may read, whatever mode a restored backup left. */
export function tightenModes(directory: DataDirectory): void {
  const keys = readdirSync(directory.keys).filter(name => name.endsWith('.key'))
  const secrets = [directory.adminToken, ...keys.map(name => join(directory.keys, name))]
  for (const file of secrets) if (existsSync(file)) chmodSync(file, 0o600)
}

/** Writes a file so that at any moment, also after a power loss, the old or the new content is there whole. */
export function replaceFile(file: string, content: string, mode: 0o600 | 0o644): void {
  const temporary = temporaryName(file)
  try {
    const descriptor = openSync(temporary, 'wx', mode)
    try {
      writeSync(descriptor, content)
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
    renameSync(temporary, file)
    flush(dirname(file))
  } catch (error) {
    rmSync(temporary, { force: true })
    throw unwritable(file, error)
  }
}

/** The text of a file, or null where there is none. */
export function readText(file: string): string | null {
  return existsSync(file) ? readFileSync(file, 'utf8') : null
}

const TEMPORARY = /^\..+\.[0-9a-f]{12}\.tmp$/

function temporaryName(file: string): string {
  return join(dirname(file), `.${basename(file)}.${randomBytes(6).toString('hex')}.tmp`)
}

/** Waits until a file, or the names in a folder, are on disk: a rename is durable when its folder is. */
export function flush(path: string): void {
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

function unwritable(path: string, cause: unknown): Error {
  const code = (cause as NodeJS.ErrnoException).code ?? String(cause)
  const advice =
    code === 'ENOSPC'
      ? 'the disk is full: make room and start again'
      : 'give this user the right to write there, or name another directory with --data'
  return new Error(`${path} cannot be written (${code}): ${advice}`, { cause })
}
