// The data directory as the command line sees it: where things are, making it, and what `up` leaves word of there.
// Refuses to read what is in the files it names.
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { assertNotOpen } from '../db/directory-access.ts'
import { type Lock, takeLock } from '../db/process-lock.ts'
import { CommandFailed, fileFault } from './errors.ts'

/** Where running services accept. */
export type Endpoints = { mqtts: string; api: string; admin: string }

export function dataPaths(data: string) {
  return {
    registry: join(data, 'registry.db'),
    ca: join(data, 'ca.crt'),
    token: join(data, 'admin.token'),
    auditKey: join(data, 'audit.pub'),
    auditCheckpoint: join(data, 'audit.checkpoint'),
    endpoints: join(data, 'endpoints.json'),
    upLock: join(data, 'up.lock'),
  }
}

/** Makes the directory (0700) where missing, and checks that it can be written. */
export function makeDataDirectory(data: string): void {
  try {
    makeDirectories(resolve(data))
    if (!statSync(data).isDirectory()) throw Object.assign(new Error(), { code: 'ENOTDIR' })
    accessSync(data, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (error) {
    throw fileFault('the data directory cannot be used', data, error)
  }
}

/** `mkdir -p`. Node's own never returns where a file system refuses with ENOENT, as /proc does. */
function makeDirectories(path: string): void {
  const make = () => {
    try {
      mkdirSync(path, { mode: 0o700 })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
  if (existsSync(path)) return
  if (!existsSync(dirname(path))) makeDirectories(dirname(path))
  make()
}

/** The right to run one job (`up`, `broker`, `provisioning`) on this directory. Held until the process is gone. */
export async function takeDataDirectory(data: string, job: string, waitMs = 0): Promise<Lock> {
  let lock: Lock | null
  try {
    assertNotOpen(data)
  } catch (error) {
    throw new CommandFailed((error as Error).message, 'rollcall doctor tells what else is wrong with it')
  }
  try {
    lock = await takeLock(join(data, `${job}.lock`), waitMs)
  } catch (error) {
    throw new CommandFailed(
      `the data directory ${data} cannot be written (${error instanceof Error ? error.message : error})`,
      'check its owner and permissions, and whether the disk is full',
      { cause: error },
    )
  }
  if (lock === null) {
    throw new CommandFailed(
      `another rollcall ${job} runs on ${data}`,
      'use that one, stop it first, or name another directory with --data',
    )
  }
  return lock
}

/** Leaves word of where the services accept, for client commands with `--data`. */
export function writeEndpoints(data: string, endpoints: Endpoints): void {
  const file = dataPaths(data).endpoints
  writeFileSync(`${file}.new`, `${JSON.stringify(endpoints)}\n`, { mode: 0o600 })
  renameSync(`${file}.new`, file)
}

export function removeEndpoints(data: string): void {
  rmSync(dataPaths(data).endpoints, { force: true })
}

/** What `up` left word of; null where it does not run or the file is no such word. */
export function readEndpoints(data: string): Endpoints | null {
  try {
    const { mqtts, api, admin } = JSON.parse(readFileSync(dataPaths(data).endpoints, 'utf8'))
    return [mqtts, api, admin].every(url => typeof url === 'string') ? { mqtts, api, admin } : null
  } catch {
    return null
  }
}
