// Which devices a file named before, and in which row: a million of them in some 32 MiB, by a keyed hash of the ID.
// Hashes of 52 bits: one ID is taken for another in one of nine thousand files of a million rows, and its row refused.
import { createHmac, randomBytes } from 'node:crypto'

export type SeenDevices = {
  /** The row that named the device first, null where this is the first. */
  firstRow(deviceId: string, row: number): number | null
}

type Table = { hashes: Float64Array; rows: Uint32Array; used: number }

/** Many small tables, so that none takes long to grow. */
const TABLES = 256
const SLOTS_MIN = 64

export function createSeenDevices(): SeenDevices {
  const key = randomBytes(16)
  const tables = Array.from({ length: TABLES }, () => emptyTable(SLOTS_MIN))

  return {
    firstRow(deviceId, row) {
      const digest = createHmac('sha256', key).update(deviceId).digest()
      // Never 0: that is an empty slot.
      const hash = digest.readUIntBE(0, 6) * 16 + (digest[6]! & 15) + 1
      const which = digest[7]! % TABLES
      const table = tables[which]!
      const slot = slotOf(hash, table)
      if (table.hashes[slot] === hash) return table.rows[slot]!
      put(table, slot, hash, row)
      if (table.used * 4 > table.hashes.length * 3) tables[which] = grown(table)
      return null
    },
  }
}

function emptyTable(slots: number): Table {
  return { hashes: new Float64Array(slots), rows: new Uint32Array(slots), used: 0 }
}

function slotOf(hash: number, { hashes }: Table): number {
  let slot = hash % hashes.length
  while (hashes[slot] !== 0 && hashes[slot] !== hash) slot = (slot + 1) % hashes.length
  return slot
}

function put(table: Table, slot: number, hash: number, row: number): void {
  table.hashes[slot] = hash
  table.rows[slot] = row
  table.used += 1
}

function grown(table: Table): Table {
  const larger = emptyTable(table.hashes.length * 2)
  for (const [slot, hash] of table.hashes.entries())
    if (hash !== 0) put(larger, slotOf(hash, larger), hash, table.rows[slot]!)
  return larger
}
