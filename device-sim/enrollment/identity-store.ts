// Identities on disk, so that a second run is the same fleet. One file a device, key and certificates together, so
// that a crash leaves a whole identity or none. Does not know whether they are still listed.
import { chmod, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { RunFailed } from '../failure.ts'
import { type Identity, identityFrom } from './identity.ts'

/** Marks the directory as the simulator's, for people and for the next run. */
export type Manifest = { kind: 'rollcall-simulator-keys'; version: 1; api: string; updatedAt: string }

export type IdentityStore = {
  directory: string
  /** Null where nothing usable is kept under that name. */
  load(deviceId: string): Promise<Identity | null>
  /** Atomic: after a crash the old identity or the new one is there, never half of one. */
  save(identity: Identity): Promise<void>
}

const MANIFEST = 'manifest.json'

/**
 * Opens or makes a key directory (0700; files 0600).
 * @throws RunFailed where the directory holds anything else, so that no other directory is used by mistake.
 */
export async function openIdentityStore(directory: string, api: string): Promise<IdentityStore> {
  const devicesDir = join(directory, 'devices')
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    await requireOwnDirectory(directory)
    await mkdir(devicesDir, { recursive: true, mode: 0o700 })
    await Promise.all([chmod(directory, 0o700), chmod(devicesDir, 0o700)])
    const manifest: Manifest = {
      kind: 'rollcall-simulator-keys',
      version: 1,
      api,
      updatedAt: new Date().toISOString(),
    }
    await writeAtomically(directory, MANIFEST, `${JSON.stringify(manifest, null, 2)}\n`)
    await sweepUnfinished(devicesDir)
  } catch (error) {
    if (error instanceof RunFailed) throw error
    throw new RunFailed(`cannot use ${directory} for keys: ${(error as Error).message}`, {
      hint: 'give a writable directory with --keys DIR',
      cause: error,
    })
  }

  return {
    directory,
    async load(deviceId) {
      try {
        return parse(deviceId, await readFile(join(devicesDir, `${deviceId}.pem`), 'utf8'))
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code
        // Missing or not parseable: enrolled anew. Anything else (permissions, disk) is for the user to see.
        if (code === 'ENOENT' || code === undefined || !code.startsWith('E') || code.startsWith('ERR_'))
          return null
        throw new RunFailed(`cannot read the identity of ${deviceId}: ${(error as Error).message}`, {
          cause: error,
        })
      }
    },
    async save(identity) {
      try {
        await writeAtomically(devicesDir, `${identity.deviceId}.pem`, identity.key + identity.certificates)
      } catch (error) {
        throw new RunFailed(`cannot keep the identity of ${identity.deviceId}: ${(error as Error).message}`, {
          hint: 'free some space, or give another directory with --keys DIR',
          cause: error,
        })
      }
    },
  }
}

function parse(deviceId: string, text: string): Identity | null {
  const key = /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----/.exec(text)?.[0]
  const certificates = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)
  return key && certificates ? identityFrom(deviceId, key, certificates) : null
}

async function requireOwnDirectory(directory: string): Promise<void> {
  const names = await readdir(directory)
  if (names.length === 0) return
  const manifest = names.includes(MANIFEST) ? await readFile(join(directory, MANIFEST), 'utf8') : ''
  if (manifest.includes('"rollcall-simulator-keys"')) return
  throw new RunFailed(`${directory} is not empty and was not made by the simulator`, {
    hint: 'give an empty or new directory with --keys DIR',
  })
}

async function sweepUnfinished(directory: string): Promise<void> {
  const olderThanMs = Date.now() - 3_600_000
  for (const name of await readdir(directory)) {
    const file = join(directory, name)
    if (name.endsWith('.tmp') && (await stat(file)).mtimeMs < olderThanMs) await rm(file, { force: true })
  }
}

let temporaryFiles = 0

async function writeAtomically(directory: string, name: string, text: string): Promise<void> {
  const temporary = join(directory, `${name}.${process.pid}.${++temporaryFiles}.tmp`)
  try {
    const file = await open(temporary, 'wx', 0o600)
    try {
      await file.writeFile(text)
      await file.datasync()
    } finally {
      await file.close()
    }
    await rename(temporary, join(directory, name))
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}
