// One row of an import as Rollcall means it, out of what a file says: our own fields, AWS's bulk-registration lines, Azure
// IoT Hub's. Pure. What cannot be meant faithfully is refused with a reason; no value of a row is ever repeated in one.
import { isDeviceId } from '../../pki/device-id.ts'
import { CSR_CHARACTERS_MAX, certificateBlocks, toPem } from '../../pki/pem.ts'
import { type Azure, fromAzure, isAzure } from './azure-row.ts'
import { isObject, privateKey, type RowFault, type RowState, shown } from './row-fault.ts'

type RowCertificate = { certificate: string; trust?: 'chained' | 'pinned' }
/** What is not given is not asked for: a device on record keeps its own. */
export type Row = {
  deviceId: string
  attributes?: Record<string, string>
  groups?: string[]
  csr?: string
  days?: number
  certificates?: RowCertificate[]
  state?: RowState
  /** SHA-256 of the endorsement key of its TPM, hex. */
  endorsementKey?: string
}

type RowVerdict = { row: Row } | RowFault

/** Which column stands for which field of ours. */
export type Mapping = ReadonlyMap<string, string>

type Fields = Record<string, unknown>

const CERTIFICATES_MAX = 10
const GROUPS_MAX = 100
const ATTRIBUTES_MAX = 50
const ATTRIBUTE_CHARACTERS_MAX = 1_024
const DAYS_MAX = 825
const states = ['registered', 'active', 'suspended', 'decommissioned'] as const
/** What an export tells besides and an import has no use for. */
const told = ['createdAt', 'updatedAt', 'lastSeen']
const toldParts = /^(certificate|lastSeen)\./
export const targets = [
  ...(['deviceId', 'csr', 'days', 'certificate', 'trust', 'groups', 'state'] as const),
  'endorsementKey',
] as const
const ATTRIBUTE = /^attr(?:ibutes)?\.(.+)$/

/** Reads `FIELD=COLUMN` pairs. Gives what is wrong with one that cannot be used. */
export function readMapping(pairs: readonly string[]): Mapping | string {
  const mapping = new Map<string, string>()
  for (const pair of pairs) {
    const [, target = '', column = ''] = /^([^=]{1,200})=(.{1,200})$/.exec(pair) ?? []
    const attribute = ATTRIBUTE.exec(target)?.[1]
    const known =
      attribute === undefined ? (targets as readonly string[]).includes(target) : isDeviceId(attribute)
    if (!known) return `a mapping is FIELD=COLUMN, with FIELD one of ${targets.join(', ')} or attr.NAME`
    if (mapping.has(target)) return `${target} is mapped twice`
    mapping.set(target, column)
  }
  return mapping
}

/** What a record of a file asks for. `text` says that every value is text, as in CSV. */
export function readRow(record: Fields, mapping: Mapping, text: boolean): RowVerdict {
  const fields: Fields = Object.assign(Object.create(null), record)
  const row: Fields = Object.create(null)
  for (const [target, column] of mapping) {
    const value = fields[column]
    if (value !== undefined && !(text && value === '')) row[target] = value
    delete fields[column]
  }
  const azure = isAzure(fields) ? fromAzure(fields) : null
  if (azure !== null && 'reason' in azure) return named(azure, fields['id'])
  const aws = { ThingName: 'deviceId', CSR: 'csr', SerialNumber: 'attr.SerialNumber' }
  const twice = rename(fields, 'ThingName' in fields ? aws : { id: 'deviceId' })
  if (twice !== null) return invalid(`${twice} is given twice`)
  for (const [name, value] of Object.entries(fields)) {
    if (told.includes(name) || toldParts.test(name) || value === null || (text && value === '')) continue
    if (name in row) return invalid(`${name} is given twice`)
    row[name] = value
  }
  const read = validate(row, text, azure)
  return 'reason' in read ? named(read, row['deviceId']) : read
}

function validate(row: Fields, text: boolean, azure: Azure | null): RowVerdict {
  const { deviceId, csr, days, certificate, certificates, trust, groups, state, ...more } = row
  const { attributes, endorsementKey, ...others } = more
  if (typeof deviceId !== 'string') return invalid('deviceId is missing')
  if (!isDeviceId(deviceId)) return invalid('deviceId is not 1 to 128 characters of A-Z a-z 0-9 . _ -')
  const given: Fields = Object.create(null)
  for (const [name, value] of Object.entries(others)) {
    const attribute = ATTRIBUTE.exec(name)?.[1]
    if (attribute === undefined)
      return invalid(`unknown field ${shown(name)}: map it with attr.NAME, or leave it out`)
    given[attribute] = value
  }
  const read: Row = { deviceId }
  const wholeAttributes = text && typeof attributes === 'string' ? parsed(attributes) : attributes
  if (wholeAttributes !== undefined || Object.keys(given).length > 0 || azure?.attributes !== undefined) {
    if (wholeAttributes !== undefined && !isObject(wholeAttributes))
      return invalid('attributes is not an object')
    const all = { ...azure?.attributes, ...wholeAttributes, ...given }
    const fault = attributesFault(all)
    if (fault !== null) return fault
    read.attributes = all as Record<string, string>
  }
  if (groups !== undefined) {
    const list = text && typeof groups === 'string' ? groups.split(/[;,]/).map(group => group.trim()) : groups
    if (!isListOf(list, GROUPS_MAX, isName)) return invalid('groups is not a list of at most 100 group names')
    read.groups = [...new Set(list as string[])]
  }
  if (csr !== undefined) {
    if (!isPem(csr)) return invalid('csr is not a text of at most 16384 characters')
    read.csr = csr
  }
  if (days !== undefined) {
    const number = text && typeof days === 'string' && /^\d{1,4}$/.test(days) ? Number(days) : days
    if (!Number.isInteger(number) || Number(number) < 1 || Number(number) > DAYS_MAX)
      return invalid('days is not a whole number from 1 to 825')
    if (csr === undefined) return invalid('days is for a csr')
    read.days = Number(number)
  }
  const kept = certificatesOf(certificate, certificates, trust)
  if (kept !== undefined && !Array.isArray(kept)) return kept
  if (kept !== undefined) read.certificates = kept
  if (state !== undefined && !(states as readonly unknown[]).includes(state))
    return invalid(`state is none of ${states.join(', ')}`)
  const wanted = azure?.state ?? (state as RowState | undefined)
  if (wanted !== undefined) read.state = wanted
  if (endorsementKey !== undefined) {
    if (typeof endorsementKey !== 'string' || !/^[0-9a-fA-F]{64}$/.test(endorsementKey))
      return invalid('endorsementKey is not a SHA-256 of 64 hex digits')
    read.endorsementKey = endorsementKey.toLowerCase()
  }
  if (holdsPrivateKey(read)) return privateKey()
  for (const item of read.certificates ?? []) item.certificate = presented(item.certificate)
  return { row: read }
}

/** One certificate with its trust, or the list of an export, of which only those that admit are registered. */
function certificatesOf(
  one: unknown,
  list: unknown,
  trust: unknown,
): RowCertificate[] | RowFault | undefined {
  if (trust !== undefined && trust !== 'chained' && trust !== 'pinned')
    return invalid('trust is neither chained nor pinned')
  if (one !== undefined) {
    if (list !== undefined) return invalid('certificate and certificates are given both')
    if (!isPem(one)) return invalid('certificate is not a text of at most 16384 characters')
    return [trust === undefined ? { certificate: one } : { certificate: one, trust }]
  }
  if (trust !== undefined) return invalid('trust is for a certificate')
  if (list === undefined) return undefined
  if (!isListOf(list, CERTIFICATES_MAX, isObject)) return invalid('certificates is not a list of at most 10')
  const kept: RowCertificate[] = []
  for (const item of list as Fields[]) {
    if (!isPem(item['certificate'])) return invalid('one of certificates has no certificate')
    if (item['trust'] !== 'chained' && item['trust'] !== 'pinned')
      return invalid('one of certificates has no trust')
    const admits = ['issued', 'active', 'superseded'].includes(String(item['status']))
    if (admits) kept.push({ certificate: item['certificate'], trust: item['trust'] })
  }
  return kept
}

/** Of a file with leaf and chain the first certificate, which is what a device presents; any other text as it is. */
function presented(text: string): string {
  const [der] = certificateBlocks(text)
  return der === undefined ? text : toPem(der, 'CERTIFICATE')
}

function attributesFault(all: Fields): RowFault | null {
  const entries = Object.entries(all)
  if (entries.length > ATTRIBUTES_MAX) return invalid(`there are more than ${ATTRIBUTES_MAX} attributes`)
  for (const [name, value] of entries) {
    if (!isDeviceId(name)) return invalid(`${shown(name)} cannot be the name of an attribute`)
    const fits = typeof value === 'string' && value.length <= ATTRIBUTE_CHARACTERS_MAX
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    if (!fits || /[\u0000-\u001f\u007f-\u009f]/.test(value))
      return invalid(`attribute ${shown(name)} is not a text of at most 1024 printable characters`)
  }
  return null
}

/** Whether any text of a row holds a private key in PEM. Whatever else may hold one is of no field we know. */
function holdsPrivateKey(row: Row): boolean {
  const texts = [row.csr, ...(row.certificates ?? []).map(item => item.certificate)]
  return [...texts, ...Object.values(row.attributes ?? {})].some(text => text?.includes('PRIVATE KEY'))
}

function invalid(detail: string): RowFault {
  return { reason: 'row_invalid', detail }
}

function named(fault: RowFault, id: unknown): RowFault {
  return typeof id === 'string' && isDeviceId(id) ? { ...fault, deviceId: id } : fault
}

/** Gives what two fields would become. */
function rename(fields: Fields, names: Record<string, string>): string | null {
  for (const [from, to] of Object.entries(names)) {
    if (!(from in fields)) continue
    if (to in fields) return to
    fields[to] = fields[from]
    delete fields[from]
  }
  return null
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

function isPem(value: unknown): value is string {
  return typeof value === 'string' && value.length <= CSR_CHARACTERS_MAX
}

function isName(value: unknown): boolean {
  return typeof value === 'string' && isDeviceId(value)
}

function isListOf(value: unknown, most: number, fits: (item: unknown) => boolean): boolean {
  return Array.isArray(value) && value.length <= most && value.every(fits)
}
