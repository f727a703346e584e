// The processes that another one has started, as the kernel lists them.
import { readFileSync } from 'node:fs'

/** None where it has ended. */
export function childrenOf(pid: number): number[] {
  let list: string
  try {
    list = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
  } catch (error) {
    if (!['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    return []
  }
  return list.trim().split(' ').filter(Boolean).map(Number)
}
