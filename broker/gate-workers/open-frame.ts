// An admitted connection as it travels from gate to engine: a list of values in a fixed order, because their names would cost more than
// they do. What no gate sends is refused.
import { reasons } from '../../db/reason.ts'
import type { AdmittedConnection } from '../connection-handler.ts'

type OpenedConnection = Omit<AdmittedConnection, 'stream'>
type Test = (value: unknown) => boolean

const text: Test = value => typeof value === 'string'
const number: Test = value => typeof value === 'number'
const flag: Test = value => typeof value === 'boolean'
const reason: Test = value => typeof value === 'string' && Object.hasOwn(reasons, value)
const oneOf =
  (...values: string[]): Test =>
  value =>
    values.includes(value as string)
const orNull =
  (test: Test): Test =>
  value =>
    value === null || test(value)

// biome-ignore format: in the order of the values
const connectionTests = [
  text, oneOf('verified', 'self_signed', 'unknown'), text, text, orNull(text),
  orNull(oneOf('tls', 'websocket')), text, text, flag,
]
/** Of a record that admits. */
// biome-ignore format: in the order of the values
const recordTests = [
  oneOf('registered', 'active'), oneOf('issued', 'active', 'superseded'), oneOf('chained', 'pinned'),
  number, number, orNull(number), orNull(number), flag, flag, orNull(reason), flag,
  text, text, orNull(text), flag, flag, flag, orNull(number), orNull(text),
]
const allTests = [...connectionTests, ...recordTests]

/** As text. The record is that of the identity: its fingerprint and device travel once. */
export function openPayload({ identity, address, trace, transportInfo, record }: OpenedConnection): string {
  const { fingerprint, chain, deviceId } = identity
  const { transport = null, tlsVersion = '', cipher = '', resumed = false } = transportInfo ?? {}
  const values = [
    fingerprint,
    chain,
    deviceId,
    address,
    trace ?? null,
    transport,
    tlsVersion,
    cipher,
    resumed,
  ]
  if (record == null) return JSON.stringify(values)
  // biome-ignore format: in the order of the values
  const { deviceState, status, trust, notBefore, notAfter, graceUntil, firstUsedAt, clientAuth, isCa, defect, defectGrace,
    keyType, serialNumber, issuerId, issuerEnabled, issuerRevoked, revokedByIssuer, issuerNotAfter, lastChange } = record
  // biome-ignore format: in the order of the values
  return JSON.stringify([...values,
    deviceState, status, trust, notBefore, notAfter, graceUntil, firstUsedAt, clientAuth, isCa, defect, defectGrace,
    keyType, serialNumber, issuerId, issuerEnabled, issuerRevoked, revokedByIssuer, issuerNotAfter, lastChange])
}

/** Throws where a value is none of ours. */
export function readOpened(payload: Buffer): OpenedConnection {
  const values = JSON.parse(payload.toString())
  const tests = values.length === connectionTests.length ? connectionTests : allTests
  if (!Array.isArray(values) || values.length !== tests.length)
    throw new Error('an opened connection of other values')
  for (let at = 0; at < tests.length; at += 1)
    if (!tests[at]!(values[at])) throw new Error(`value ${at} of an opened connection is ${values[at]}`)
  // biome-ignore format: in the order of the values
  const [fingerprint, chain, deviceId, address, trace, transport, tlsVersion, cipher, resumed,
    deviceState, status, trust, notBefore, notAfter, graceUntil, firstUsedAt, clientAuth, isCa, defect, defectGrace,
    keyType, serialNumber, issuerId, issuerEnabled, issuerRevoked, revokedByIssuer, issuerNotAfter, lastChange] = values
  // biome-ignore format: in the order of the values
  const record = { fingerprint, deviceId,
    deviceState, status, trust, notBefore, notAfter, graceUntil, firstUsedAt, clientAuth, isCa, defect, defectGrace,
    keyType, serialNumber, issuerId, issuerEnabled, issuerRevoked, revokedByIssuer, issuerNotAfter, lastChange }
  return {
    identity: { fingerprint, chain, deviceId },
    address,
    trace: trace ?? undefined,
    ...(transport !== null && { transportInfo: { transport, tlsVersion, cipher, resumed } }),
    record: tests === allTests ? record : null,
  }
}
