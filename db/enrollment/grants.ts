// Which policies a device has beyond those of everyone: read where somebody would be put into a group, or certified.
import type { Database } from 'better-sqlite3'
import type { Attachment } from '../policies/policy-store.ts'

export type GrantLookup = {
  /** Those of these groups that a policy is attached to. */
  groups(names: readonly string[]): Attachment[]
  /** What a device has through its groups and for itself. */
  device(id: string): Attachment[]
  /** Names of attributes that policies for everyone, or for an issuer, fill in. */
  attributes(): Set<string>
}

export function prepareGrantLookup(sqlite: Database): GrantLookup {
  const group = sqlite
    .prepare<[string], number>(
      `SELECT EXISTS (SELECT 1 FROM policy_attachments WHERE kind = 'group' AND target = ?)`,
    )
    .pluck()
  const device = sqlite.prepare<[string, string], Attachment>(
    `SELECT DISTINCT kind, target FROM policy_attachments
     WHERE (kind = 'device' AND target = ?)
        OR (kind = 'group' AND target IN (SELECT name FROM device_groups WHERE device_id = ?))`,
  )
  const wide = sqlite
    .prepare<[], string>(
      `SELECT document FROM policies
       WHERE name IN (SELECT policy_name FROM policy_attachments WHERE kind IN ('everyone', 'issuer'))`,
    )
    .pluck()
  return {
    groups: names =>
      names.filter(name => group.get(name) === 1).map(target => ({ kind: 'group' as const, target })),
    device: id => device.all(id, id),
    attributes: () =>
      new Set(wide.all().flatMap(text => [...text.matchAll(/\$\{device\.attr\.([^}]*)\}/g)].map(m => m[1]!))),
  }
}
