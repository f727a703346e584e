// A backup laid beside the directory it is meant for, judged there as a start would judge it, and put in place at once.
// Refuses to touch a directory that holds anything.
import {
  accessSync,
  chmodSync,
  constants,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { closeRegistry, openForWriting } from '../../db/index.ts'
import { schemaVersion } from '../../db/migrate.ts'
import { inspectRegistry, schemaIn } from '../../db/registry-inspection.ts'
import { readPassphrase } from '../../provisioning/ca/ca-keys.ts'
import { isSealed, openKey } from '../../provisioning/ca/sealed-key.ts'
import { flush } from '../../provisioning/data-directory.ts'
import { readAuditKeys, verifyRegistry } from '../audit/verify.ts'
import { describeFile, type Manifest } from '../backup/manifest.ts'
import { dataPaths } from '../data-directory.ts'
import type { CheckContext, Finding } from '../doctor/finding.ts'
import { checkAuditKey, checkCa } from '../doctor/keys.ts'
import { registryFindings } from '../doctor/registry.ts'
import { CommandFailed } from '../errors.ts'

const damaged = 'take another backup; this one is damaged'
/** What a fresh file system has of its own. */
const notOurs = ['lost+found']

/** @throws CommandFailed where the directory is none, or holds anything besides what is being laid out in it. */
export function assertEmpty(data: string, staging: string | null = null): void {
  const stat = lstatSync(data, { throwIfNoEntry: false })
  if (stat === undefined) return
  if (!stat.isDirectory()) throw new CommandFailed(`${data} is no directory`, 'name a new one with --data')
  const found = readdirSync(data).filter(name => !notOurs.includes(name) && join(data, name) !== staging)
  if (found.length === 0) return
  const shown = found.slice(0, 3).join(', ')
  throw new CommandFailed(
    `${data} is not empty: it holds ${shown}${found.length > 3 ? ', …' : ''}`,
    'nothing is ever overwritten: name a new directory with --data',
  )
}

/** @throws CommandFailed where a newer version wrote the registry: said before gigabytes are copied. */
export function refuseNewer(backup: string, { version }: Manifest): void {
  const schema = schemaIn(join(backup, 'registry.db'))
  if (schema === null || schema <= schemaVersion) return
  throw new CommandFailed(
    `the registry of the backup has schema ${schema}, this version knows ${schemaVersion}`,
    `restore it with the version that made it (${version}), or a newer one`,
  )
}

/** Copies the backup's files, each compared with its hash, into a directory of its own. */
export async function stage(
  backup: string,
  manifest: Manifest,
  staging: string,
  passphraseFile: string | null,
): Promise<void> {
  mkdirSync(join(staging, 'keys'), { recursive: true, mode: 0o700 })
  const passphrase = passphraseFile === null ? null : readPassphrase(passphraseFile)
  for (const { name, bytes, sha256 } of manifest.files) {
    const source = join(backup, name)
    if (!lstatSync(source, { throwIfNoEntry: false })?.isFile())
      throw new CommandFailed(`${source} is missing`, damaged)
    const target = join(staging, name)
    copyFileSync(source, target)
    chmodSync(target, 0o600)
    const found = await describeFile(staging, name)
    if (found.sha256 !== sha256 || found.bytes !== bytes)
      throw new CommandFailed(`${source} is not the file that was backed up`, damaged)
    if (name.startsWith('keys/') && manifest.sealed) openSealed(target, passphrase)
    flush(target)
  }
}

/** A key that lay in the clear lies so again; one that the CA's own passphrase seals stays sealed. */
function openSealed(file: string, passphrase: string | null): void {
  const text = readFileSync(file, 'utf8')
  if (!isSealed(text)) return
  if (passphrase === null)
    throw new CommandFailed(
      'the keys of this backup are under a passphrase',
      'name its file with --passphrase-file',
    )
  const key = openKey(text, passphrase)
  if (key !== null) writeFileSync(file, key.export({ type: 'pkcs8', format: 'pem' }))
  // The CA's own passphrase seals the keys of CAs alone.
  else if (basename(file) === 'audit.key')
    throw new CommandFailed(
      'the passphrase does not open the keys of this backup',
      'name the file it was made with',
    )
}

/** Judges what was laid out. @throws CommandFailed with the first thing that would keep a start from using it. */
export async function verifyStaging(staging: string, env: NodeJS.ProcessEnv): Promise<{ auditRows: number }> {
  const { registry, auditKey } = dataPaths(staging)
  refuseWhere(registryFindings(inspectRegistry(registry)), ['registry'])
  // An older schema becomes the current one in the copy, as it would at the next start.
  await closeRegistry(openForWriting(registry))
  const verified = await verifyRegistry(registry, readAuditKeys([auditKey]), () => {})
  for (const beside of ['-wal', '-shm']) rmSync(`${registry}${beside}`, { force: true })
  if (verified.fault !== null) {
    throw new CommandFailed(
      `the audit log of the backup was tampered with: ${verified.fault.message}`,
      'take a backup from before, and find out which users could write this one',
    )
  }
  const ports = { mqtts: 0, api: 0, status: 0, admin: 0 }
  const context: CheckContext = { data: staging, env, now: Date.now(), host: '127.0.0.1', ports, running: [] }
  refuseWhere([...checkAuditKey(context), ...checkCa(context)], ['audit key', 'CA key', 'CA'])
  return { auditRows: verified.rows }
}

function refuseWhere(findings: readonly Finding[], checks: readonly string[]): void {
  // What has ended is whole: a clock or a hand-over mends it.
  const refused = findings.find(
    ({ check, verdict, found }) =>
      verdict === 'fail' && checks.includes(check) && !/: (ended|begins) /.test(found),
  )
  if (refused) throw new CommandFailed(`${refused.check}: ${refused.found}`, refused.todo ?? damaged)
}

/**
 * In one step where the directory can be replaced by another. Where it cannot, as a mounted volume: the certificate of the CA
 * first and the registry last, for with the one and without the other nothing starts.
 */
export function putInPlace(staging: string, data: string): void {
  try {
    renameSync(staging, data)
    flush(dirname(resolve(data)))
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? ''
    if (!['EBUSY', 'EXDEV', 'ENOTEMPTY', 'EEXIST', 'EACCES', 'EROFS'].includes(code)) throw error
    const names = readdirSync(staging).sort((one, other) => rankOf(one) - rankOf(other))
    for (const name of names) renameSync(join(staging, name), join(data, name))
    flush(data)
    rmSync(staging, { recursive: true })
  }
}

function rankOf(name: string): number {
  return name === 'ca.crt' ? 0 : name === 'registry.db' ? 2 : 1
}

/** Beside the directory, or within it where it is a file system of its own. */
export function stagingFor(data: string): string {
  const parent = dirname(resolve(data))
  const name = `.${basename(resolve(data))}.${process.pid}.restoring`
  const isMount = existsSync(data) && lstatSync(data).dev !== lstatSync(parent).dev
  return isMount || !isWritable(parent) ? join(data, name) : join(parent, name)
}

function isWritable(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK)
    return true
  } catch {
    return false
  }
}
