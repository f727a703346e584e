// Deleting a device that is at its end: nothing of it is left but audit rows and its public keys, which no device gets again.
// Refuses where the record of the device is what keeps it out.
import type { Transaction } from 'kysely'
import { type Actor, appendAudit } from '../audit/audit.ts'
import { appendChange } from '../change-feed.ts'
import { assertDeviceSeen } from '../entity-tags.ts'
import type { Registry } from '../open.ts'
import type { Schema } from '../schema.ts'
import { rowsOf, run } from '../statement.ts'
import { Conflict, transact } from '../transact.ts'
import { stateOf } from './device-writer.ts'

type DeviceDeletion = {
  /** Throws `device_unknown`, `device_changed`, and `device_state_forbids` where the device may not be deleted yet, or ever. */
  deleteDevice(id: string, actor: Actor): Promise<void>
}

export function createDeviceDeletion(registry: Registry, now: () => number): DeviceDeletion {
  return {
    deleteDevice: (id, actor) =>
      transact(registry, async transaction => {
        const at = now()
        await assertDecommissioned(transaction, id)
        await assertDeviceSeen(transaction, actor, id)
        await assertNotNeeded(transaction, id, at)
        const held = await heldBy(transaction, id)
        await run(
          transaction,
          'INSERT INTO retired_keys SELECT spki_hash, device_id, ? FROM public_keys WHERE device_id = ?',
          at,
          id,
        )
        for (const text of deletions) await run(transaction, text, id)
        await appendAudit(transaction, { at, actor, action: 'device.delete', target: id, detail: held })
        await appendChange(transaction, { kind: 'device', at, deviceId: id })
      }),
  }
}

/** In the order of references; what else is of a device goes by triggers with its row, or that of its certificate. */
const deletions = [
  'DELETE FROM public_keys WHERE device_id = ?',
  'DELETE FROM certificates WHERE device_id = ?',
  'DELETE FROM device_groups WHERE device_id = ?',
  'DELETE FROM enrollment_tokens WHERE device_id = ?',
  'DELETE FROM enrollment_tokens WHERE used_by = ?',
  'DELETE FROM claimed_devices WHERE device_id = ?',
  // Or the next device of that name would have its policies.
  "DELETE FROM policy_attachments WHERE kind = 'device' AND target = ?",
  'DELETE FROM refusals WHERE device_id = ?',
  'DELETE FROM devices WHERE id = ?',
]

async function assertDecommissioned(transaction: Transaction<Schema>, id: string): Promise<void> {
  const state = await stateOf(transaction, id)
  if (state === 'decommissioned') return
  throw new Conflict(
    'device_state_forbids',
    `device ${id} is ${state}: a device is decommissioned before it is deleted`,
  )
}

/** Throws where a CRL still has to tell of a certificate, or the device could bring itself back. */
async function assertNotNeeded(transaction: Transaction<Schema>, id: string, at: number): Promise<void> {
  const [valid] = await rowsOf<{ until: number | null }>(
    transaction,
    'SELECT max(not_after) AS until FROM certificates WHERE device_id = ? AND not_after > ?',
    id,
    at,
  )
  if (valid?.until != null) {
    throw new Conflict(
      'device_state_forbids',
      `device ${id} has a certificate that is valid until ${new Date(valid.until).toISOString()}: CRL and OCSP tell of it until then, and the device can be deleted after`,
    )
  }
  const [maker] = await rowsOf(
    transaction,
    `SELECT 1 FROM idevids WHERE device_id = ? UNION ALL SELECT 1 FROM endorsement_keys WHERE device_id = ?
     UNION ALL SELECT 1 FROM auto_registrations WHERE device_id = ?`,
    ...[id, id, id],
  )
  if (maker !== undefined) {
    throw new Conflict(
      'device_state_forbids',
      `device ${id} came with an identity of its maker and could enroll with it again: its record keeps it out`,
    )
  }
  const [claim] = await rowsOf<{ name: string }>(
    transaction,
    `SELECT name FROM claims JOIN claimed_devices ON claim_id = id
     WHERE device_id = ? AND revoked_at IS NULL AND not_after > ?`,
    id,
    at,
  )
  if (claim !== undefined) {
    throw new Conflict(
      'device_state_forbids',
      `device ${id} was claimed by ${claim.name}, which could enroll it again: revoke that claim, or wait for its end`,
    )
  }
}

/** What the audit row keeps. */
async function heldBy(transaction: Transaction<Schema>, id: string): Promise<Record<string, unknown>> {
  const [device] = await rowsOf<{ attributes: string; addedAt: number }>(
    transaction,
    'SELECT attributes, created_at AS addedAt FROM devices WHERE id = ?',
    id,
  )
  const groups = await rowsOf<{ name: string }>(
    transaction,
    'SELECT name FROM device_groups WHERE device_id = ? ORDER BY name',
    id,
  )
  const certificates = await rowsOf<{ fingerprint: string }>(
    transaction,
    'SELECT fingerprint FROM certificates WHERE device_id = ? ORDER BY rowid DESC LIMIT 100',
    id,
  )
  return {
    attributes: JSON.parse(device?.attributes ?? '{}'),
    groups: groups.map(({ name }) => name),
    certificates: certificates.map(({ fingerprint }) => fingerprint),
    addedAt: device?.addedAt ?? null,
  }
}
