// Strangers whose issuer lets devices register themselves: noted by brokers, decided by provisioning. Bounded in number,
// for each issuer and in all, so that a flood of them takes neither the disk nor the turn of others.
import type { Database } from 'better-sqlite3'
import type { Registry } from '../open.ts'
import type { Page } from '../page.ts'
import { transact } from '../transact.ts'

/** `at` in ms since the epoch. */
export type ArrivalNote = { fingerprint: string; issuerId: string; der: Buffer; address: string; at: number }

export type Arrival = Omit<ArrivalNote, 'der'> & {
  decidedAt: number | null
  /** Why it may not register itself; null while it waits. */
  reason: string | null
  detail: string | null
}

export const ARRIVAL_BYTES_MAX = 16 * 1024
const WAITING_MAX = 1_000
const WAITING_PER_ISSUER_MAX = 200
const DECIDED_KEPT_MAX = 5_000
/** How long a refusal holds: once the cause is mended, a device waits no longer. */
export const REFUSAL_HOLDS_MS = 10 * 60_000
const WAITING_KEPT_MS = 60 * 60_000
const DECIDED_KEPT_MS = 24 * 60 * 60_000

/** Prepares the verb by which a broker notes arrivals. One that waits already, or was refused lately, stays as it is. */
export function prepareArrivalNotes(sqlite: Database): (notes: readonly ArrivalNote[]) => void {
  const note = sqlite.prepare<ArrivalNote & { before: number }>(
    `INSERT INTO arrivals (fingerprint, issuer_id, der, address, at)
     SELECT @fingerprint, @issuerId, @der, @address, @at
     WHERE (SELECT count(*) FROM arrivals WHERE decided_at IS NULL) < ${WAITING_MAX}
       AND (SELECT count(*) FROM arrivals WHERE decided_at IS NULL AND issuer_id = @issuerId) < ${WAITING_PER_ISSUER_MAX}
       AND NOT EXISTS (SELECT 1 FROM certificates c WHERE c.fingerprint = @fingerprint)
     ON CONFLICT (fingerprint) DO UPDATE
       SET address = @address, at = @at, decided_at = NULL, reason = NULL, detail = NULL
       WHERE decided_at <= @before`,
  )
  return sqlite.transaction((notes: readonly ArrivalNote[]) => {
    for (const arrival of notes) note.run({ ...arrival, before: arrival.at - REFUSAL_HOLDS_MS })
  }).immediate
}

/** Prepares the look-up of one arrival by its fingerprint. */
export function prepareArrivalLookup(sqlite: Database): (fingerprint: string) => Arrival | null {
  const select = sqlite.prepare<[string], Arrival>(`${columns} WHERE fingerprint = ?`)
  return fingerprint => select.get(fingerprint) ?? null
}

type ArrivalReader = {
  /** Those of an issuer that wait or were refused, by fingerprint. */
  ofIssuer(issuerId: string, after: string | null, limit: number): Page<Arrival>
  /** The longest waiting of each issuer that has any, at most `limit` of one. */
  waiting(limit: number): (ArrivalNote & { reason: null })[]
}

export function createArrivalReader({ sqlite }: Registry): ArrivalReader {
  const ofIssuer = sqlite.prepare<[string, string, number], Arrival>(
    `${columns} WHERE issuer_id = ? AND fingerprint > ? ORDER BY fingerprint LIMIT ?`,
  )
  const issuersWaiting = sqlite
    .prepare<[], string>('SELECT DISTINCT issuer_id FROM arrivals WHERE decided_at IS NULL')
    .pluck()
  const waiting = sqlite.prepare<[string, number], ArrivalNote & { reason: null }>(
    `SELECT fingerprint, issuer_id AS issuerId, der, address, at, reason FROM arrivals
     WHERE decided_at IS NULL AND issuer_id = ? ORDER BY at LIMIT ?`,
  )
  return {
    ofIssuer(issuerId, after, limit) {
      const rows = ofIssuer.all(issuerId, after ?? '', limit + 1)
      const items = rows.slice(0, limit)
      return { items, next: rows.length > limit ? items.at(-1)!.fingerprint : null }
    },
    waiting: limit => issuersWaiting.all().flatMap(issuerId => waiting.all(issuerId, limit)),
  }
}

type ArrivalWriter = {
  /** Keeps why it may not register itself, for the next connection and for operators. */
  refuseArrival(fingerprint: string, reason: string, detail: string): Promise<void>
  /** Forgets what waited or was refused for long. */
  forgetArrivals(): Promise<void>
}

export function createArrivalWriter(registry: Registry, now: () => number): ArrivalWriter {
  return {
    refuseArrival: (fingerprint, reason, detail) =>
      transact(registry, async transaction => {
        await transaction
          .updateTable('arrivals')
          .set({ decided_at: now(), reason, detail: detail.slice(0, 1_000) })
          .where('fingerprint', '=', fingerprint)
          .where('decided_at', 'is', null)
          .execute()
      }),

    forgetArrivals: () =>
      transact(registry, async transaction => {
        const at = now()
        const decided = transaction
          .selectFrom('arrivals')
          .select('fingerprint')
          .where('decided_at', 'is not', null)
        await transaction
          .deleteFrom('arrivals')
          .where(({ or, and, eb }) =>
            or([
              and([eb('decided_at', 'is', null), eb('at', '<', at - WAITING_KEPT_MS)]),
              eb('decided_at', '<', at - DECIDED_KEPT_MS),
              eb(
                'fingerprint',
                'in',
                decided.orderBy('decided_at', 'desc').limit(-1).offset(DECIDED_KEPT_MAX),
              ),
            ]),
          )
          .execute()
      }),
  }
}

const columns = `SELECT fingerprint, issuer_id AS issuerId, address, at, decided_at AS decidedAt, reason, detail
  FROM arrivals`
