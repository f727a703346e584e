// The header of a CSV file: which column stands for what, as far as its name says, and as the reader decides.

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

export function columnsOf(text: string): Columns {
  const [header = [], first = []] = records(text.replace(/^\ufeff/, ''), 2)
  const taken = new Set(
    header.filter(name => known.has(name)).map(name => (name === 'id' ? 'deviceId' : name)),
  )
  return header.map((name, at) => ({ name, field: fieldOf(name, taken), sample: first[at] ?? '' }))
}

/** Of a name that says it: a field. Of any other: an attribute of that name. */
function fieldOf(name: string, taken: Set<string>): string {
  if (known.has(name) || name.startsWith('attr.')) return name
  const plain = name.toLowerCase().replace(/[^a-z0-9]/g, '')
  const guesses: Record<string, string> = {
    deviceid: 'deviceId',
    device: 'deviceId',
    name: 'deviceId',
    thingname: 'deviceId',
    group: 'groups',
    groups: 'groups',
    csr: 'csr',
  }
  const guess = Object.hasOwn(guesses, plain) ? guesses[plain]! : undefined
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
function records(text: string, max: number): string[][] {
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
    else if (character === ',') {
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
