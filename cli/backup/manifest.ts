// What a backup of everything holds: its files with their hashes, and where the record stood. A restore believes nothing else.
import { createHash } from 'node:crypto'
import { createReadStream, lstatSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CommandFailed } from '../errors.ts'

export const MANIFEST = 'backup.json'
const FORMAT = 1
const MANIFEST_BYTES_MAX = 1024 * 1024
/** What may be in a backup, and nothing that a path could lead out of it. */
const NAME =
  /^(registry\.db|ca\.crt|issuing\.crt|audit\.pub|rollcall\.yaml|keys\/(root|audit|shared-secrets|issuing(-[0-9a-f]{1,64})?)\.key)$/

/** Whether a backup holds a file of the data directory, named from there. */
export function isBackedUp(name: string): boolean {
  return NAME.test(name)
}

type BackupFile = { name: string; bytes: number; sha256: string }
export type Manifest = {
  format: number
  version: string
  madeAt: string
  /** The last change on record: what came later is not in here. */
  epoch: number
  /** Whether keys that lay in the clear are under the passphrase that was named for the backup. */
  sealed: boolean
  files: BackupFile[]
}

export function newManifest(facts: Omit<Manifest, 'format'>): string {
  return `${JSON.stringify({ format: FORMAT, ...facts } satisfies Manifest, null, 2)}\n`
}

/** @throws CommandFailed where it is no manifest, or names what no backup holds. */
export function readManifest(backup: string): Manifest {
  const hint = 'name the directory that rollcall backup --all made'
  const file = join(backup, MANIFEST)
  const stat = lstatSync(file, { throwIfNoEntry: false })
  if (!stat?.isFile())
    throw new CommandFailed(`${backup} is no backup of everything: it has no ${MANIFEST}`, hint)
  if (stat.size > MANIFEST_BYTES_MAX) throw new CommandFailed(`${file} is too long to be one`, hint)
  let manifest: Manifest
  try {
    manifest = JSON.parse(readFileSync(file, 'utf8'))
  } catch (cause) {
    throw new CommandFailed(`${file} is no JSON: the backup is damaged`, 'take another backup', { cause })
  }
  if (manifest.format !== FORMAT || !Array.isArray(manifest.files)) {
    const made = manifest.format > FORMAT ? 'restore it with the version that made it, or a newer one' : hint
    throw new CommandFailed(`${file} has format ${manifest.format}, this version reads ${FORMAT}`, made)
  }
  const odd = manifest.files.find(({ name }) => typeof name !== 'string' || !isBackedUp(name))
  if (odd !== undefined)
    throw new CommandFailed(`${file} names ${odd.name}, which no backup holds`, 'take another backup')
  return manifest
}

export async function describeFile(directory: string, name: string): Promise<BackupFile> {
  const hash = createHash('sha256')
  let bytes = 0
  for await (const chunk of createReadStream(join(directory, name))) {
    hash.update(chunk)
    bytes += chunk.length
  }
  return { name, bytes, sha256: hash.digest('hex') }
}
