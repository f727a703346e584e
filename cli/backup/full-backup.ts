// A copy of all that a new machine needs, made while everything runs: the registry first, then the keys, so that none which the
// registry names is missing. The directory appears under its name once it is whole and on disk.
import { createPrivateKey } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { prepareChangeReader } from '../../db/change-feed.ts'
import { closeRegistry } from '../../db/index.ts'
import { FIRST_SCHEMA } from '../../db/migrate.ts'
import { backup, openForReading } from '../../db/open.ts'
import manifest from '../../package.json' with { type: 'json' }
import { readPassphrase } from '../../provisioning/ca/ca-keys.ts'
import { isSealed, sealKey } from '../../provisioning/ca/sealed-key.ts'
import { flush } from '../../provisioning/data-directory.ts'
import { CommandFailed } from '../errors.ts'
import { describeFile, isBackedUp, MANIFEST, type Manifest, newManifest } from './manifest.ts'

const texts = ['ca.crt', 'issuing.crt', 'audit.pub', 'rollcall.yaml']
/** Without any of these nothing could be restored. */
const needed = ['ca.crt', 'issuing.crt', 'audit.pub', 'keys/audit.key']

type FullBackup = Omit<Manifest, 'format' | 'files'> & {
  files: number
  bytes: number
  keysInTheClear: number
}

/** @throws where anything that is needed is missing, or nothing can be written; nothing is left then. */
export async function writeFullBackup(
  data: string,
  target: string,
  passphraseFile: string | null,
): Promise<FullBackup> {
  const missing = needed.find(name => !existsSync(join(data, name)))
  if (missing !== undefined && existsSync(join(data, 'registry.db')))
    throw new CommandFailed(
      `${join(data, missing)} is missing: nothing could be restored from such a backup`,
      'start the service once: it makes what can be made again, and says what is lost',
    )
  const passphrase = passphraseFile === null ? null : readPassphrase(passphraseFile)
  const staging = join(dirname(resolve(target)), `.${basename(target)}.${process.pid}.partial`)
  mkdirSync(join(staging, 'keys'), { recursive: true, mode: 0o700 })
  try {
    const epoch = await copyRegistry(data, join(staging, 'registry.db'))
    const present = texts.filter(name => existsSync(join(data, name)))
    for (const name of present) write(join(staging, name), readFileSync(join(data, name)))
    const keys = readdirSync(join(data, 'keys')).filter(name => isBackedUp(`keys/${name}`))
    let keysInTheClear = 0
    for (const name of keys) {
      const kept = keyText(readFileSync(join(data, 'keys', name), 'utf8'), passphrase)
      if (/BEGIN (EC |RSA )?PRIVATE KEY/.test(kept)) keysInTheClear += 1
      write(join(staging, 'keys', name), kept)
    }
    const names = ['registry.db', ...present, ...keys.map(name => join('keys', name))]
    const files = await Promise.all(names.map(name => describeFile(staging, name)))
    const facts = {
      version: manifest.version,
      madeAt: new Date().toISOString(),
      epoch,
      sealed: passphrase !== null,
    }
    write(join(staging, MANIFEST), newManifest({ ...facts, files }))
    for (const folder of [join(staging, 'keys'), staging]) flush(folder)
    renameSync(staging, target)
    flush(dirname(resolve(target)))
    return {
      ...facts,
      files: files.length,
      bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
      keysInTheClear,
    }
  } catch (error) {
    rmSync(staging, { recursive: true, force: true })
    throw error
  }
}

async function copyRegistry(data: string, target: string): Promise<number> {
  const registry = openForReading(join(data, 'registry.db'), FIRST_SCHEMA)
  try {
    await backup(registry, target)
  } finally {
    await closeRegistry(registry)
  }
  flush(target)
  const copy = openForReading(target, FIRST_SCHEMA)
  try {
    return prepareChangeReader(copy).latestEpoch()
  } finally {
    await closeRegistry(copy)
    for (const beside of ['-wal', '-shm']) rmSync(`${target}${beside}`, { force: true })
  }
}

/** Under the passphrase where it lay in the clear; as it is where it is sealed already, or only points at a token. */
function keyText(text: string, passphrase: string | null): string {
  if (passphrase === null || isSealed(text) || !text.includes('PRIVATE KEY')) return text
  return sealKey(createPrivateKey(text), passphrase)
}

function write(file: string, content: string | Buffer): void {
  writeFileSync(file, content, { mode: 0o600, flush: true, flag: 'wx' })
}
