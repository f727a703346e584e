// Whether other users than its owner may write a data directory: such a user could put another registry there.
import { type Stats, statSync } from 'node:fs'

/** `shared` is a volume that a container platform hands to a group of this process's own, as Kubernetes does by fsGroup. */
type DirectoryAccess = 'own' | 'shared' | 'open'

const GROUP_WRITES = 0o020
const OTHERS_WRITE = 0o002
const SET_GROUP_ID = 0o2000

export function accessOf(
  { mode, gid }: Pick<Stats, 'mode' | 'gid'>,
  groups: readonly number[],
): DirectoryAccess {
  if ((mode & OTHERS_WRITE) !== 0) return 'open'
  if ((mode & GROUP_WRITES) === 0) return 'own'
  return (mode & SET_GROUP_ID) !== 0 && groups.includes(gid) ? 'shared' : 'open'
}

/** Gives how the directory is shared. @throws an error that names what to run where others may write it */
export function assertNotOpen(path: string): DirectoryAccess {
  const stat = statSync(path, { throwIfNoEntry: false })
  // Where there are no such modes there is nothing to read from them.
  if (stat === undefined || process.getgroups === undefined) return 'own'
  const access = accessOf(stat, [...process.getgroups(), process.getegid?.() ?? -1])
  if (access !== 'open') return access
  const mode = (stat.mode & 0o7777).toString(8).padStart(4, '0')
  throw new Error(
    `${path} can be written by others (mode ${mode}): another registry could be put there. Run chmod 700 ${path}, and find out which users could write there`,
  )
}
