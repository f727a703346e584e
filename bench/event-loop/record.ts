// A record as large as its limits let it be, for measuring the slowest requests: 10,000 devices, some with all the attributes
// and groups there may be, policies of the largest size, long audit and event logs, many revoked certificates.
import { join } from 'node:path'
import { prepareAppendAudit } from '../../db/audit/audit.ts'
import { openEventFile } from '../../db/events/event-file.ts'
import { closeRegistry, openForWriting } from '../../db/index.ts'
import { fillRoll } from '../large-roll.ts'

const AUDIT_ROWS = 100_000
const EVENTS = 100_000
const LARGE_DEVICES = 500
const REVOKED = 4_000

/** As many topics as fit into a body of 64 KiB. */
export function largestPolicy(name: string, prefix: string) {
  return {
    name,
    statements: Array.from({ length: 100 }, (_, one) => ({
      effect: 'allow' as const,
      actions: ['publish', 'subscribe', 'receive', 'retain', 'will'],
      topics: Array.from({ length: 70 }, (_, two) => `${prefix}/${(one * 70 + two).toString(36)}`),
    })),
  }
}

export const largestAttributes = Object.fromEntries(
  Array.from({ length: 50 }, (_, index) => [`attribute-${index}`, 'v'.repeat(1_024)]),
)
export const mostGroups = Array.from({ length: 100 }, (_, index) => `group-${index}`)

export async function fillRecord(data: string, devices: number): Promise<string[]> {
  const registry = openForWriting(join(data, 'registry.db'))
  const { sqlite } = registry
  const issuerId = sqlite.prepare("SELECT id FROM issuers WHERE kind = 'issuing'").pluck().get() as string
  const fingerprints = await fillRoll(registry, issuerId, devices)
  sqlite.transaction(() => {
    const large = sqlite.prepare(
      'UPDATE devices SET attributes = ? WHERE id IN (SELECT id FROM devices ORDER BY id LIMIT ?)',
    )
    large.run(JSON.stringify(largestAttributes), LARGE_DEVICES)
    const group = sqlite.prepare(
      'INSERT OR IGNORE INTO device_groups (device_id, name) SELECT id, ? FROM devices ORDER BY id LIMIT ?',
    )
    for (const name of mostGroups.slice(1)) group.run(name, LARGE_DEVICES)
    sqlite
      .prepare(
        `UPDATE certificates SET status = 'revoked', revocation_reason = 'superseded', revoked_at = not_before
         WHERE rowid IN (SELECT rowid FROM certificates ORDER BY rowid DESC LIMIT ?)`,
      )
      .run(REVOKED)
    const policy = sqlite.prepare('INSERT INTO policies (name, document, updated_at) VALUES (?, ?, 0)')
    for (const name of ['large', 'larger'])
      policy.run(name, JSON.stringify(largestPolicy(name, name[5] ?? 'a')))
    sqlite
      .prepare("INSERT INTO policy_attachments (policy_name, kind, target) VALUES (?, 'everyone', '')")
      .run('large')
    const audit = prepareAppendAudit(sqlite)
    const entry = {
      actor: { name: 'bench', kind: 'token' as const },
      action: 'device.change',
      target: 'fleet-0000001',
    }
    for (let index = 0; index < AUDIT_ROWS; index += 1) audit({ ...entry, at: Date.now() })
  })()
  await closeRegistry(registry)
  const events = openEventFile(join(data, 'events.db'), Date.now())
  events.sqlite.transaction(() => {
    const event = events.sqlite.prepare(
      "INSERT INTO events (at, kind, device_id, reason, node, detail) VALUES (?, 'connected', ?, NULL, 'bench', '{}')",
    )
    for (let index = 0; index < EVENTS; index += 1)
      event.run(Date.now(), `fleet-${String(index % devices).padStart(7, '0')}`)
  })()
  events.sqlite.close()
  return fingerprints
}
