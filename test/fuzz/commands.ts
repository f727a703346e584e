// What may happen to a small fleet, as plain data: a failing sequence prints itself, shrinks, and can be played again.
import fc from 'fast-check'

export const DAY_MS = 86_400_000
export const devices = ['d0', 'd1', 'd2', 'd3'] as const
/** `d0` is a backend: it may reach all devices. */
export const BACKEND = 'd0'
export type IssuerName = 'a' | 'b'
export type Policy = 'wide' | 'narrow' | 'closed'

/** One certificate that may be listed: everything about it is fixed, times relative to the start. */
export type Card = {
  device: string
  issuer: IssuerName
  /** Two of each device share one. */
  key: string
  notBefore: number
  notAfter: number
}

const makes: readonly Omit<Card, 'device' | 'key'>[] = [
  { issuer: 'a', notBefore: 0, notAfter: 90 * DAY_MS },
  { issuer: 'b', notBefore: 0, notAfter: 90 * DAY_MS },
  { issuer: 'a', notBefore: 0, notAfter: 2 * DAY_MS },
  { issuer: 'a', notBefore: 0, notAfter: 60 * DAY_MS },
  { issuer: 'b', notBefore: DAY_MS, notAfter: 30 * DAY_MS },
]
/** Certificates by name: `d0.0` … `d3.4`. The first of each device is listed when a sequence begins. */
export const cards: Readonly<Record<string, Card>> = Object.fromEntries(
  devices.flatMap(device =>
    makes.map((make, index) => {
      const key = `${device}.${index === 3 ? 0 : index}`
      return [`${device}.${index}`, { device, key, ...make }]
    }),
  ),
)

export const topics = [
  'devices/SELF/t',
  'devices/SELF/secret/s',
  'devices/OTHER/t',
  'shared/SELF',
  'other',
] as const
export const filters = [
  'devices/SELF/#',
  'devices/SELF/secret/#',
  'devices/#',
  'shared/#',
  '+/+',
  '#',
] as const

/** A topic or filter in the mouth of one device. */
export function named(template: string, device: string): string {
  const other = devices[(devices.indexOf(device as never) + 1) % devices.length]!
  return template.replace('SELF', device).replace('OTHER', other)
}

export type Command =
  | { do: 'enroll'; certificate: string; pending: Pending; compromise: boolean; by: By }
  | ({ do: 'connect'; certificate: string | Nth; clean: boolean; will: boolean; alias: boolean } & Version)
  /** `expirySeconds` is for DISCONNECT of version 5; null to leave it as it was. */
  | { do: 'leave'; device: string; how: 'disconnect' | 'drop'; expirySeconds: number | null }
  | { do: 'subscribe'; device: string; filter: string; noLocal: boolean }
  | {
      do: 'publish'
      device: string
      topic: string
      qos: 0 | 1
      retain: boolean
      expirySeconds: number | null
    }
  | { do: 'device'; device: string; move: 'suspend' | 'activate' | 'decommission' }
  | { do: 'certificate'; certificate: string | Nth; move: CertificateTransition }
  | { do: 'issuer'; issuer: IssuerName; enabled: boolean }
  | { do: 'policy'; policy: Policy }
  | { do: 'reader'; device: string; attached: boolean }
  | { do: 'clock'; ms: number; from: 'now' | 'next end' }
  | { do: 'restart' }
/** MQTT 3.1.1, or what a client of MQTT 5 asks for; `expirySeconds` of NEVER is for ever. */
export type Version = {
  five: { expirySeconds: number; willDelaySeconds: number; receiveMaximum: number } | null
}
/** Session Expiry Interval of a session without end. */
export const NEVER_SECONDS = 0xffff_ffff
/** Which certificate of the device asks for it, counted from the newest, then by its name; null where an operator does. */
export type By = number | string | null
/** `if held`: as an enroller asks. */
export type Pending = boolean | 'if held'
/** Counts the certificates a device has, from the newest: most of what happens is to happen to what is there. */
export type Nth = { device: string; nth: number }
/** A command whose certificate is named. */
export type Step =
  | Exclude<Command, { certificate: string | Nth }>
  | (Extract<Command, { certificate: string | Nth }> & { certificate: string })
export type CertificateTransition =
  | 'approve'
  | 'reject'
  | 'suspend'
  | 'activate'
  | 'revoke'
  | 'revoke compromised'

const of = <const T>(kind: T) => fc.constant(kind)
const device = fc.constantFrom(...devices)
const card = fc.constantFrom(...Object.keys(cards))
const listed = fc.record({ device, nth: often([0, 20], [1, 4], [2, 1]) })
const certificate = fc.oneof({ weight: 9, arbitrary: listed }, { weight: 1, arbitrary: card })

/** Values with their weights. */
function often<const T>(...weighted: [value: T, weight: number][]): fc.Arbitrary<T> {
  return fc.oneof(...weighted.map(([value, weight]) => ({ weight, arbitrary: fc.constant(value) })))
}
const seldom = often([false, 9], [true, 1])

/** Just before, at and just after what time does, and what nobody expects of a clock. */
const ms = often(
  [60_000, 8],
  [3_600_000, 8],
  [DAY_MS - 1, 3],
  [DAY_MS, 3],
  [DAY_MS + 1, 2],
  [2 * DAY_MS, 2],
  [7 * DAY_MS, 2],
  [40 * DAY_MS, 1],
  [-1, 2],
  [-600_000, 3],
)
const deviceMove = often(['suspend', 6], ['activate', 10], ['decommission', 1])
const certificateMove = often(
  ['approve', 3],
  ['reject', 1],
  ['suspend', 4],
  ['activate', 6],
  ['revoke', 2],
  ['revoke compromised', 1],
)

const five = fc.option(
  fc.record({
    expirySeconds: often([0, 2], [3_600, 3], [259_200, 2], [NEVER_SECONDS, 2]),
    willDelaySeconds: often([0, 2], [60, 2], [7_200, 2]),
    receiveMaximum: often([1, 1], [20, 1]),
  }),
)

export const command: fc.Arbitrary<Command> = fc.oneof(
  each(24, {
    do: of('connect'),
    certificate,
    clean: fc.boolean(),
    will: fc.boolean(),
    alias: seldom,
    five,
  }),
  each(8, {
    do: of('enroll'),
    certificate: card,
    pending: often<Pending>([false, 4], [true, 2], ['if held', 1]),
    compromise: fc.boolean(),
    by: often([null, 2], [0, 2], [1, 1]),
  }),
  each(14, { do: of('subscribe'), device, filter: fc.constantFrom(...filters), noLocal: fc.boolean() }),
  each(26, {
    do: of('publish'),
    device,
    topic: often([topics[0], 12], [topics[1], 4], [topics[2], 1], [topics[3], 2], [topics[4], 1]),
    qos: often([0, 1], [1, 2]),
    retain: often([false, 3], [true, 1]),
    expirySeconds: often<number | null>([null, 4], [3_600, 1]),
  }),
  each(6, {
    do: of('leave'),
    device,
    how: often(['disconnect', 1], ['drop', 1]),
    expirySeconds: often<number | null>([null, 3], [0, 1], [3_600, 1]),
  }),
  each(6, { do: of('device'), device, move: deviceMove }),
  each(8, { do: of('certificate'), certificate, move: certificateMove }),
  each(4, { do: of('issuer'), issuer: often(['a', 1], ['b', 1]), enabled: often([true, 3], [false, 1]) }),
  each(5, { do: of('policy'), policy: often(['wide', 3], ['narrow', 2], ['closed', 1]) }),
  each(3, { do: of('reader'), device, attached: often([true, 3], [false, 1]) }),
  each(6, { do: of('clock'), ms, from: of('now') }),
  // The second at which the right of a connected device ends.
  each(3, { do: of('clock'), ms: often([-1, 1], [0, 2], [1, 1]), from: of('next end') }),
  each(1, { do: of('restart') }),
)

function each<T>(weight: number, fields: { [K in keyof T]: fc.Arbitrary<T[K]> }) {
  return { weight, arbitrary: fc.record(fields) as fc.Arbitrary<T> }
}

/** How every sequence begins: all devices are enrolled and connected, and some listen. */
export const begin: readonly Command[] = [
  ...devices.flatMap((id): Command[] => [
    { do: 'enroll', certificate: `${id}.0`, pending: false, compromise: false, by: null },
    { do: 'connect', certificate: `${id}.0`, clean: id === 'd1', will: true, alias: false, five: null },
  ]),
  { do: 'subscribe', device: BACKEND, filter: 'devices/#', noLocal: false },
  { do: 'subscribe', device: 'd1', filter: 'devices/SELF/#', noLocal: false },
  { do: 'subscribe', device: 'd2', filter: 'devices/SELF/#', noLocal: false },
]
