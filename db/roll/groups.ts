// The groups that there are: names that devices have, or that policies are attached to, with how many devices and which policies.
import type { Database } from 'better-sqlite3'
import type { Page } from '../page.ts'

/** `devices` is the least there are where it is not `exact`. */
export type Group = { name: string; devices: number; exact: boolean; policies: string[] }

/** @param only the one group that the caller may see */
export type GroupReader = (after: string | null, limit: number, only: string | null) => Page<Group>

/** So many index entries are counted for a page: a page of large groups ends before its limit. */
const COUNTED_MAX = 200_000

export function prepareGroups(sqlite: Database, countedMax = COUNTED_MAX): GroupReader {
  const next = sqlite
    .prepare<[string, string], string | null>(
      `SELECT min(name) FROM (
         SELECT min(name) AS name FROM device_groups WHERE name > ?
         UNION ALL SELECT min(target) FROM policy_attachments WHERE kind = 'group' AND target > ?)`,
    )
    .pluck()
  const count = sqlite
    .prepare<[string, number], number>(
      'SELECT count(*) FROM (SELECT 1 FROM device_groups WHERE name = ? LIMIT ?)',
    )
    .pluck()
  const policies = sqlite
    .prepare<[string], string>(
      `SELECT policy_name FROM policy_attachments WHERE kind = 'group' AND target = ? ORDER BY policy_name`,
    )
    .pluck()

  function group(name: string): Group {
    const devices = count.get(name, countedMax + 1) ?? 0
    return {
      name,
      devices: Math.min(devices, countedMax),
      exact: devices <= countedMax,
      policies: policies.all(name),
    }
  }

  return (after, limit, only) => {
    if (only !== null) return { items: after === null ? [group(only)] : [], next: null }
    const items: Group[] = []
    let counted = 0
    for (let last = after ?? ''; ; last = items.at(-1)!.name) {
      const name = next.get(last, last) ?? null
      if (name === null) return { items, next: null }
      if (items.length >= limit || counted >= countedMax) return { items, next: last }
      const found = group(name)
      counted += found.devices
      items.push(found)
    }
  }
}
