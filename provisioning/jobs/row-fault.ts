// Why a row of an import is refused, and the states that a row may ask for. No value of a row is ever repeated in a fault.

export type RowState = 'registered' | 'active' | 'suspended' | 'decommissioned'

export const rowReasons = [
  'row_malformed',
  'row_too_long',
  'row_invalid',
  'row_unsupported',
  'row_duplicate',
  'private_key_sent',
  'device_differs',
  'row_failed',
] as const
export type RowReason = (typeof rowReasons)[number]
export type RowFault = { reason: RowReason; detail: string; deviceId?: string }

type Fields = Record<string, unknown>

export function privateKey(): RowFault {
  const detail =
    'the row holds a private key: it was not kept. Give the device a new key pair, and send its CSR alone'
  return { reason: 'private_key_sent', detail }
}

/** The name of a field, never its value. */
export function shown(name: string): string {
  return JSON.stringify(name.length > 64 ? `${name.slice(0, 64)}…` : name)
}

export function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
