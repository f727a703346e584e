// Which policies a device has beyond those of everyone: read where somebody would be put into a group, or certified.
import type { Database } from 'better-sqlite3'
import type { Attachment } from '../policies/policy-store.ts'

export type GrantLookup = {
  /** Those of these groups that a policy is attached to. */
  groups(names: readonly string[]): Attachment[]
  /** What a device has through its groups and for itself. */
  device(id: string): Attachment[]
  /**
   * The variables that policies read which hold for a device in these groups: for everyone, for an issuer, whichever certified
   * it, for the device and for its groups. What a policy reads decides what it allows.
   */
  variables(deviceId: string, groups: readonly string[]): { name: string; attachment: Attachment }[]
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
  const holding = sqlite.prepare<{ deviceId: string; groups: string }, Attachment & { document: string }>(
    `SELECT a.kind, a.target, p.document FROM policy_attachments a JOIN policies p ON p.name = a.policy_name
     WHERE a.kind IN ('everyone', 'issuer') OR (a.kind = 'device' AND a.target = @deviceId)
        OR (a.kind = 'group' AND a.target IN (SELECT value FROM json_each(@groups)))`,
  )
  return {
    groups: names =>
      names.filter(name => group.get(name) === 1).map(target => ({ kind: 'group' as const, target })),
    device: id => device.all(id, id),
    variables: (deviceId, groups) =>
      holding
        .all({ deviceId, groups: JSON.stringify(groups) })
        .flatMap(({ kind, target, document }) =>
          variablesIn(document).map(name => ({ name, attachment: { kind, target } })),
        ),
  }
}

/** A stored document is JSON without blanks: the names of variables stand in it as they were written. */
function variablesIn(document: string): string[] {
  return [...document.matchAll(/\$\{([^}]*)\}/g)].map(([, name = '']) => name)
}
