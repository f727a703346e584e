// Which column of a table stands for which field: as the caller mapped it, by the name of a field, or by what the heading means. Pure.
import { fieldsByHeading, wordOf } from '../../db/jobs/table-format.ts'
import { type Mapping, targets } from './row.ts'

/** `field` is null for a column that stands for none. */
export type Column = { column: string; field: string | null }

/** Headings that stand for a field or for the attribute that AWS calls so. */
const meanings: Readonly<Record<string, string>> = {
  ...fieldsByHeading,
  serial: 'attr.SerialNumber',
  serialno: 'attr.SerialNumber',
  serialnr: 'attr.SerialNumber',
  serialnumber: 'attr.SerialNumber',
  sn: 'attr.SerialNumber',
}
/** What a heading may mean only where no other names the device. */
const fallbacks: Readonly<Record<string, string>> = { name: 'deviceId' }

/** Names that a row is read by as they are. */
const own = new Set<string>([
  ...targets,
  ...['id', 'attributes', 'certificates', 'createdAt', 'updatedAt'],
  ...['ThingName', 'CSR', 'SerialNumber'],
])

/** The mapping of a whole header, and what it says of each column. What the caller mapped comes first. */
export function columnsOf(
  header: readonly string[],
  given: Mapping,
): { mapping: Mapping; columns: Column[] } {
  const mapping = new Map(given)
  const mapped = new Map([...given].map(([field, column]) => [column, field]))
  const isOwn = (name: string) => own.has(name) || /^(attr(ibutes)?|certificate|lastSeen)\./.test(name)
  const taken = (field: string) =>
    mapping.has(field) || header.includes(field) || (field === 'deviceId' && namesDevice(header))
  for (const table of [meanings, fallbacks])
    for (const column of header) {
      const word = wordOf(column)
      const field = Object.hasOwn(table, word) ? table[word]! : null
      if (field === null || mapped.has(column) || isOwn(column) || taken(field)) continue
      mapping.set(field, column)
      mapped.set(column, field)
    }
  const columns = header.map(column => ({
    column,
    field: mapped.get(column) ?? (isOwn(column) ? column : null),
  }))
  return { mapping, columns }
}

function namesDevice(header: readonly string[]): boolean {
  return header.includes('id') || header.includes('ThingName')
}
