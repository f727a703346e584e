// How many connections the file descriptors of this process have room for. A listener that runs out of them cannot even
// refuse: it would spin on accept while connections pile up behind it.
import { readFileSync } from 'node:fs'

/** Kept for the registry, its log, certificates read anew, and what else a running process opens. */
const RESERVE = 64

/** Connections that fit; as many as are asked for where the system has no such limit or does not tell. */
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
