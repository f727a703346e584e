// The numbers of the revocation lists signed so far. No audit rows: a list says what the record says already.
import type { Registry } from '../open.ts'
import { transact } from '../transact.ts'

/** The newest list of an issuing CA. Times in ms since the epoch, hashes are SHA-256 in lowercase hex. */
export type StoredCrl = {
  number: number
  thisUpdate: number
  nextUpdate: number
  entries: number
  entriesHash: string
  hash: string
}

export type CrlStore = {
  /** The newest list that was finished, null where none was. */
  newest(issuerId: string): StoredCrl | null
  /** A number that no list of this issuer has, and that is not below `least`. Taken for good, whether or not a list comes of it. */
  takeCrlNumber(issuerId: string, least: number): Promise<number>
  recordCrl(issuerId: string, crl: StoredCrl): Promise<void>
}

export function createCrlStore(registry: Registry): CrlStore {
  const newest = registry.sqlite.prepare<[string], StoredCrl>(
    `SELECT number, this_update AS thisUpdate, next_update AS nextUpdate, entries, entries_hash AS entriesHash, hash
     FROM crls WHERE issuer_id = ? AND hash IS NOT NULL`,
  )
  return {
    newest: issuerId => newest.get(issuerId) ?? null,

    takeCrlNumber: (issuerId, least) =>
      transact(registry, async transaction => {
        const { number } = await transaction
          .insertInto('crls')
          .values({ issuer_id: issuerId, number: least, entries: 0 })
          .onConflict(conflict =>
            conflict.column('issuer_id').doUpdateSet(({ eb, fn, ref, val }) => ({
              number: fn<number>('max', [eb(ref('crls.number'), '+', 1), val(least)]),
            })),
          )
          .returning('number')
          .executeTakeFirstOrThrow()
        return number
      }),

    recordCrl: (issuerId, crl) =>
      transact(registry, async transaction => {
        await transaction
          .updateTable('crls')
          .set({
            this_update: crl.thisUpdate,
            next_update: crl.nextUpdate,
            entries: crl.entries,
            entries_hash: crl.entriesHash,
            hash: crl.hash,
          })
          .where('issuer_id', '=', issuerId)
          .execute()
      }),
  }
}
