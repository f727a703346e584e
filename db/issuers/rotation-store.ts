// Handing over from one issuing CA to the next: on record in one transaction, and how many devices are still on which.
import type { Database } from 'better-sqlite3'
import { type Actor, appendAudit } from '../audit/audit.ts'
import type { Registry } from '../open.ts'
import { Conflict, transact } from '../transact.ts'
import { insertIssuer } from './issuer-store.ts'

/** From `at` on this issuing CA issues; over `spreadMs` devices of the one before are told to renew. */
export type Rotation = { issuerId: string; at: number; spreadMs: number }
type NewRotation = { der: Buffer; name: string; rootId: string; spreadMs: number }

export type RotationWriter = {
  /** Registers the CA and makes it the one that issues; gives its ID and the epoch of the change. */
  rotateIssuing(rotation: NewRotation, actor: Actor): Promise<{ issuerId: string; epoch: number; at: number }>
}

export function createRotationWriter(registry: Registry, now: () => number): RotationWriter {
  return {
    rotateIssuing: ({ der, name, rootId, spreadMs }, actor) =>
      transact(registry, async transaction => {
        const at = now()
        const issuer = { der, name, kind: 'issuing' as const, parentId: rootId }
        // The request stands for the rotation, not for the CA that comes of it.
        const { id: issuerId, epoch } = await insertIssuer(
          transaction,
          issuer,
          { name: actor.name, kind: actor.kind },
          at,
        )
        if (epoch === null) throw new Conflict('issuer_exists', `the CA ${issuerId} is registered already`)
        await transaction
          .insertInto('rotations')
          .values({ issuer_id: issuerId, at, spread_ms: spreadMs })
          .execute()
        await appendAudit(transaction, {
          at,
          actor,
          action: 'ca.rotate',
          target: issuerId,
          detail: { name, spreadMs },
        })
        return { issuerId, epoch, at }
      }),
  }
}

/** All rotations, oldest first. The last one names the CA that issues; without any it is the first that was made. */
export function readRotations(registry: Registry): Rotation[] {
  return registry.sqlite
    .prepare<[], Rotation>(
      'SELECT issuer_id AS issuerId, at, spread_ms AS spreadMs FROM rotations ORDER BY rowid',
    )
    .all()
}

/** The devices that rely on an issuer, so many rows at a time: counting a million must not hold up anybody. */
export type ReliantReader = {
  /** Devices whose certificate in use, or yet to be used, is of an issuer; by issuer ID. `at` in ms since the epoch. */
  countDevices(at: number): Promise<Map<string, number>>
}

const ROWS_AT_ONCE = 1_000

export function prepareReliantReader(sqlite: Database): ReliantReader {
  type Row = { fingerprint: string; deviceId: string; issuerId: string | null; relies: number }
  const page = sqlite.prepare<[number, string, string], Row>(
    `SELECT c.fingerprint, c.device_id AS deviceId, c.issuer_id AS issuerId,
            c.status IN ('issued', 'active', 'suspended', 'pending') AND c.not_after > ?
            AND (SELECT state FROM devices d WHERE d.id = c.device_id) <> 'decommissioned' AS relies
     FROM certificates c WHERE (c.device_id, c.fingerprint) > (?, ?)
     ORDER BY c.device_id, c.fingerprint LIMIT ${ROWS_AT_ONCE}`,
  )
  return {
    async countDevices(at) {
      const counts = new Map<string, number>()
      // A device counts once for each issuer; its certificates come one after the other.
      let seen = new Set<string>()
      let last = { deviceId: '', fingerprint: '' }
      for (;;) {
        const rows = page.all(at, last.deviceId, last.fingerprint)
        for (const { deviceId, issuerId, relies, fingerprint } of rows) {
          if (deviceId !== last.deviceId) seen = new Set()
          last = { deviceId, fingerprint }
          if (relies === 0 || issuerId === null || seen.has(issuerId)) continue
          seen.add(issuerId)
          counts.set(issuerId, (counts.get(issuerId) ?? 0) + 1)
        }
        if (rows.length < ROWS_AT_ONCE) return counts
        await new Promise(resolve => setImmediate(resolve))
      }
    },
  }
}
