// Which services hold a data directory, told by the kernel's own list of locks: nothing is locked to find out.
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { LockOwner } from './finding.ts'

const jobs = ['up', 'broker', 'provisioning'] as const

export function lockOwners(data: string, locks = readLocks()): LockOwner[] {
  return jobs.flatMap(job => {
    const file = statSync(join(data, `${job}.lock`), { throwIfNoEntry: false })
    if (file === undefined) return []
    const held = new RegExp(`WRITE (\\d+) [0-9a-f]+:[0-9a-f]+:${file.ino} `).exec(locks)
    return held === null ? [] : [{ job, pid: Number(held[1]) || null }]
  })
}

function readLocks(): string {
  try {
    return readFileSync('/proc/locks', 'utf8')
  } catch {
    return ''
  }
}
