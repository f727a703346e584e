// The header of a CSV file: which column stands for what, as far as its name says, and as the reader decides.
import { delimiterOf, fieldsByHeading, wordOf } from '../../../db/jobs/table-format.ts'

type Column = { name: string; field: string; sample: string }
export type Columns = readonly Column[]

/** Fields that a row may have, by the names that the service knows by itself. */
export const fields = [
  'deviceId',
  'groups',
  'attributes',
  'csr',
  'days',
  'certificate',
  'trust',
  'state',
] as const
const known = new Set<string>([...fields, 'id', 'certificates'])

/** What AWS calls a device, beside the headings that the service knows by their meaning. */
const meanings: Readonly<Record<string, string>> = { ...fieldsByHeading, thingname: 'deviceId' }

export function columnsOf(text: string): Columns {
  const plain = text.replace(/^\ufeff/, '')
  // Excel's own line before the header.
  const said = /^sep=([,;\t])\r?\n/.exec(plain)
  const table = plain.slice(said?.[0].length ?? 0)
  const [header = [], first = []] = records(table, said?.[1] ?? delimiterOf(table), 2)
  const taken = new Set(
    header.filter(name => known.has(name)).map(name => (name === 'id' ? 'deviceId' : name)),
  )
  const fieldsOf = header.map(name => fieldOf(name, taken))
  // A name is the device where nothing else is.
  const named = header.findIndex(name => wordOf(name) === 'name')
  if (named >= 0 && !taken.has('deviceId')) fieldsOf[named] = 'deviceId'
  return header.map((name, at) => ({ name, field: fieldsOf[at]!, sample: first[at] ?? '' }))
}

/** Of a name that says it: a field. Of any other: an attribute of that name. */
function fieldOf(name: string, taken: Set<string>): string {
  if (known.has(name) || name.startsWith('attr.')) return name
  const plain = wordOf(name)
  const guess = Object.hasOwn(meanings, plain) ? meanings[plain]! : undefined
  if (guess !== undefined && !taken.has(guess)) {
    taken.add(guess)
    return guess
  }
  return `attr.${name.replace(/[^A-Za-z0-9._-]+/g, '-') || 'column'}`
}

/** `FIELD=COLUMN` for every column that is not named as its field is. */
export function mappingOf(columns: Columns): string[] {
  return columns.filter(({ name, field }) => name !== field).map(({ name, field }) => `${field}=${name}`)
}

/** The first records of RFC 4180 text; of a text that breaks off, what there is. */
function records(text: string, delimiter: string, max: number): string[][] {
  const found: string[][] = []
  let record: string[] = []
  let cell = ''
  let quoted = false
  for (let at = 0; at < text.length && found.length < max; at += 1) {
    const character = text[at]!
    if (quoted) {
      if (character !== '"') cell += character
      else if (text[at + 1] === '"') {
        cell += '"'
        at += 1
      } else quoted = false
    } else if (character === '"') quoted = true
    else if (character === delimiter) {
      record.push(cell)
      cell = ''
    } else if (character === '\n') {
      record.push(cell.replace(/\r$/, ''))
      found.push(record)
      record = []
      cell = ''
    } else cell += character
  }
  if (found.length < max && (cell !== '' || record.length > 0))
    found.push([...record, cell.replace(/\r$/, '')])
  return found
}
