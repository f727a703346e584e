// How many connections the file descriptors of this process have room for. A listener that runs out of them cannot even
// refuse: it would spin on accept while connections pile up behind it.
import { readFileSync } from 'node:fs'

/** Reserved for the registry, its write-ahead log, reloaded certificates and other files. */
const RESERVE = 64

/** The number of connections that fit; infinite where the system has no limit or does not report it. */
export function connectionsThatFit(limits = readLimits()): number {
  const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1]
  return soft === undefined ? Number.POSITIVE_INFINITY : Math.max(1, Number(soft) - RESERVE)
}

function readLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'utf8')
  } catch {
    return ''
  }
}
