// Checks of the data directory: file system, owner, file modes, free space and the time of a sync to disk.
import {
  closeSync,
  fdatasyncSync,
  lstatSync,
  openSync,
  readdirSync,
  type Stats,
  statfsSync,
  statSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { accessOf } from '../../db/directory-access.ts'
import { type CheckContext, type Finding, fail, inBytes, ok, warn } from './finding.ts'

/** By the number that statfs(2) gives. */
const foreign: Readonly<Record<number, string>> = {
  26985: 'NFS',
  4283649346: 'CIFS',
  4266872130: 'SMB',
  16914839: '9p',
  12805120: 'CephFS',
  198183888: 'Lustre',
  1397113167: 'AFS',
  1702057286: 'FUSE',
}
const passing: Readonly<Record<number, string>> = {
  16914836: 'memory (tmpfs)',
  2035054128: 'the layer of a container (overlay)',
}

const FREE_MIN = 256 * 1024 ** 2
const FREE_WANTED = 1024 ** 3
const SYNC_SLOW_MS = 50
const SYNC_BYTES = 4_096
const SYNC_TRIES = 5
/** Linux: a file without a name, gone when it is closed. */
const O_TMPFILE = 0o20200000
const O_RDWR = 0o2

/** Whether anything can be looked at: the first start makes the directory. */
export function checkPresence({ data }: CheckContext): Finding[] {
  const stat = statSync(data, { throwIfNoEntry: false })
  if (stat === undefined) return [ok('directory', `${data} does not exist: the first start makes it`)]
  if (!stat.isDirectory()) return [fail('directory', `${data} is no directory`, 'name another with --data')]
  const found = new Set(readdirSync(data))
  if (found.has('ca.crt') && !found.has('registry.db')) {
    const todo = 'restore it from a backup (rollcall restore): beginning anew would forget every revocation'
    return [fail('directory', 'it holds a CA, but no registry.db', todo)]
  }
  if (!found.has('registry.db'))
    return [ok('directory', `${data} is empty of ours: the first start lays everything`)]
  return [ok('directory', data)]
}

export function checkFileSystem({ data }: CheckContext, type = statfsSync(data).type): Finding[] {
  const number = type >>> 0
  if (foreign[number] !== undefined) {
    const todo = 'move it to a local disk: SQLite does not keep its promises there'
    return [fail('file system', `the directory is on ${foreign[number]}`, todo)]
  }
  if (passing[number] !== undefined) {
    return [
      warn(
        'file system',
        `the directory is in ${passing[number]}`,
        'it ends with the machine or container: use a volume',
      ),
    ]
  }
  return [ok('file system', 'local')]
}

export function checkRoom({ data }: CheckContext, statfs = statfsSync(data)): Finding[] {
  const free = statfs.bavail * statfs.bsize
  const found = `${inBytes(free)} free`
  if (free < FREE_MIN)
    return [fail('room', found, 'make room now: without, changes are refused and messages not kept')]
  if (free < FREE_WANTED) return [warn('room', found, 'make room: a full disk refuses changes')]
  if (statfs.files > 0 && statfs.ffree < 1_000)
    return [fail('room', `${found}, but no inodes`, 'remove files')]
  return [ok('room', found)]
}

/** How long a write takes until it is on disk, tried with a file that never has a name. */
export function checkSync({ data }: CheckContext, measure = measuredSyncMs): Finding[] {
  const ms = measure(data)
  if (ms === null) return [ok('sync', 'not measured: this file system makes no file without a name')]
  const found = `${ms.toFixed(1)} ms to keep a write`
  if (ms <= SYNC_SLOW_MS) return [ok('sync', found)]
  return [warn('sync', found, 'changes and QoS 1 and 2 to absent devices wait for it: use a faster disk')]
}

function measuredSyncMs(data: string): number | null {
  let descriptor: number
  try {
    descriptor = openSync(data, O_TMPFILE | O_RDWR, 0o600)
  } catch {
    return null
  }
  try {
    const bytes = Buffer.alloc(SYNC_BYTES)
    const took = Array.from({ length: SYNC_TRIES }, () => {
      const begin = performance.now()
      writeSync(descriptor, bytes)
      fdatasyncSync(descriptor)
      return performance.now() - begin
    })
    return took.sort((one, other) => one - other)[Math.floor(SYNC_TRIES / 2)]!
  } finally {
    closeSync(descriptor)
  }
}

const SHOWN_MAX = 5
/** For everybody to read. */
const open = /\.(crt|crl|pub)$/

export function checkModes({ data }: CheckContext): Finding[] {
  const owner = lstatSync(data)
  const files = listed(data)
  const loose = files.filter(
    ({ name, stat }) => !open.test(name) && stat.isFile() && (stat.mode & 0o077) !== 0,
  )
  const findings: Finding[] = []
  if (loose.length > 0) {
    const chmod = 'chmod 600 them, and find out which users read them: treat keys and token as known'
    findings.push(fail('modes', `others may read ${some(loose)}`, chmod))
  }
  const wide = files.filter(({ stat }) => stat.isDirectory() && (stat.mode & 0o077) !== 0)
  if ((owner.mode & 0o077) !== 0) wide.unshift({ name: data, stat: owner })
  if (wide.length > 0) findings.push(warn('modes', `others may enter ${some(wide)}`, 'chmod 700'))
  const groups = [...(process.getgroups?.() ?? []), process.getegid?.() ?? -1]
  const access = accessOf(owner, groups)
  if (access === 'open')
    findings.push(fail('modes', `others may write ${data}: no start takes it so`, `chmod 700 ${data}`))
  const links = files.filter(({ stat }) => stat.isSymbolicLink())
  if (links.length > 0)
    findings.push(warn('modes', `links: ${some(links)}`, 'put the files themselves there'))
  return findings.length > 0 ? findings : [ok('modes', 'for the owner alone')]
}

export function checkOwner({ data, running }: CheckContext, user = process.getuid?.() ?? null): Finding[] {
  const { uid } = lstatSync(data)
  const others = listed(data).filter(({ stat }) => stat.uid !== uid)
  if (others.length > 0) {
    return [
      fail('owner', `the directory is of user ${uid}, but not ${some(others)}`, `chown -R ${uid} ${data}`),
    ]
  }
  if (user !== null && user !== 0 && user !== uid && running.length === 0) {
    return [
      fail(
        'owner',
        `it is of user ${uid}, this is user ${user}`,
        'run as the owner: no other user can start on it',
      ),
    ]
  }
  return [ok('owner', `user ${uid}`)]
}

type Entry = { name: string; stat: Stats }

function listed(data: string): Entry[] {
  return ['', 'keys', 'crl', 'jobs'].flatMap(folder => {
    const path = join(data, folder)
    if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) return []
    return readdirSync(path).flatMap(name => {
      const stat = lstatSync(join(path, name), { throwIfNoEntry: false })
      return stat === undefined ? [] : [{ name: join(folder, name), stat }]
    })
  })
}

function some(entries: readonly Entry[]): string {
  const names = entries.slice(0, SHOWN_MAX).map(({ name }) => name)
  return entries.length > SHOWN_MAX
    ? `${names.join(', ')} and ${entries.length - SHOWN_MAX} more`
    : names.join(', ')
}
