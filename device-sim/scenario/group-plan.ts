// A group of a scenario as the run needs it: numbers instead of words, every default filled in, every name checked.
// Pure. Does not know the other parts of a scenario beyond the names of groups.

import type { KeyType } from '../enrollment/signing-keys.ts'
import { type FaultKind, faults } from '../faults.ts'
import type { LinkKind, Protocol, Qos, Subscription } from '../links/session.ts'
import type { Expectation } from '../results/summary.ts'
import { ms, shareOf, skewMs } from './amounts.ts'
import type { PayloadPlan } from './payload-schema.ts'
import { protocolOf } from './protocol-names.ts'
import type { RawGroup, Scenario } from './schema.ts'
import type { Path } from './shape.ts'
import { variablesOf } from './topic.ts'
import type { RawProperties } from './v5-schema.ts'

/** Of emqtt-bench's --payload-hdrs. */
export type BenchHeader = 'cnt64' | 'ts'

/** Unacknowledged messages of a device, where the scenario says nothing. */
const IN_FLIGHT_MAX = 64

export type PublishPlan = {
  topic: string
  /** 0 for messages on an occasion. */
  everyMs: number
  on: 'connect' | 'disconnect' | null
  /** Of the whole group; null for no end. */
  messagesMax: number | null
  jitter: number
  qos: Qos
  retain: boolean
  payload: PayloadPlan
  numbered: boolean
  /** Null where nothing is said of them. */
  properties: PropertiesPlan | null
}

/** Of messages in MQTT 5; texts may hold variables. */
export type PropertiesPlan = {
  utf8: boolean
  expirySeconds: number | null
  contentType: string | null
  responseTopic: string | null
  correlation: string | null
  user: [name: string, value: string][]
}

/** `sparkplug`: the payload is the death of an edge node. */
export type WillPlan = { topic: string; payload: string; sparkplug: boolean; qos: Qos; retain: boolean }

export type GroupPlan = {
  name: string
  count: number
  /** The number of the first device, as IDs show it. */
  first: number
  idTemplate: string
  registryGroups: string[]
  attributes: Record<string, string>
  keyType: KeyType
  link: LinkKind
  protocol: Protocol
  clientIdTemplate: string
  session: {
    clean: boolean
    keepAliveSeconds: number
    resumeTls: boolean
    /** Session Expiry Interval in MQTT 5. */
    expirySeconds: number
    topicAliasMax: number
    inFlightMax: number
    will: WillPlan | null
  }
  /** Binary headers of emqtt-bench; empty for none. */
  headers: BenchHeader[]
  publish: PublishPlan[]
  subscribe: Required<Subscription>[]
  answer: { topic: string; qos: Qos; afterMs: number; payload: unknown; numbered: boolean } | null
  dutyCycle: { awakeMs: number; asleepMs: number } | null
  reconnect: { firstMs: number; mostMs: number; jitter: number; never: boolean }
  fault: FaultKind | null
  clockSkewMs: number
  directory: string | null
  expect: Expectation
}

export type ReportProblem = (path: Path, message: string) => void

/** Faults are said and something is returned all the same. */
export function groupPlan(raw: RawGroup, path: Path, scenario: Scenario, fault: ReportProblem): GroupPlan {
  const idTemplate = raw.id ?? `sim-${raw.name}-\${n}`
  const check = (text: string, at: Path, extra: readonly string[] = []): void => {
    for (const variable of variablesOf(text)) {
      const [kind = '', name = ''] = variable.split(/[.:](.*)/s)
      if (['device', 'n', 'number', 'group', ...extra].includes(variable)) continue
      if (kind === 'attr' && variable.startsWith('attr.') && name in (raw.attributes ?? {})) continue
      const known = scenario.groups.some(group => group.name === name)
      if (/^(any|each):/.test(variable) && extra.length === 0 && known) continue
      fault(at, `there is no \${${variable}}`)
    }
  }
  if (!/\$\{n(umber)?\}/.test(idTemplate) && raw.count > 1) fault([...path, 'id'], `expected \${n} in it`)
  if (!/^[A-Za-z0-9._-]{0,110}$/.test(idTemplate.replaceAll(/\$\{n(umber)?\}/g, ''))) {
    fault([...path, 'id'], `expected A-Z a-z 0-9 . _ - and \${n}`)
  }
  check(raw.clientId ?? '', [...path, 'clientId'], ['run'])
  for (const [index, one] of (raw.publish ?? []).entries()) {
    const at = [...path, 'publish', index]
    check(one.topic.replaceAll(`\${seq}`, ''), [...at, 'topic'])
    if ((one.every === undefined) === (one.on === undefined)) fault(at, 'expected either every or on')
    if (one.every !== undefined && ms(one.every) < 1) fault([...at, 'every'], 'expected at least 1ms')
    if (one.payload?.sparkplug && one.numbered) fault([...at, 'numbered'], 'not with sparkplug')
  }
  for (const [index, one] of (raw.subscribe ?? []).entries()) {
    check(one.filter, [...path, 'subscribe', index, 'filter'], ['run'])
  }
  const protocol = protocolOf(raw.protocol)
  for (const [index, { properties = {} }] of (raw.publish ?? []).entries()) {
    const at = [...path, 'publish', index, 'properties']
    for (const key of ['contentType', 'responseTopic', 'correlation'] as const) {
      check(properties[key] ?? '', [...at, key])
    }
    for (const [place, pair] of (properties.user ?? []).entries()) {
      check(Object.entries(pair).flat().join(' '), [...at, 'user', place])
    }
    if (properties.expiry !== undefined && ms(properties.expiry) < 1_000)
      fault([...at, 'expiry'], 'expected at least 1s')
  }
  if (protocol !== 5) refuseV5(raw, path, fault)
  if (raw.answer)
    check(raw.answer.topic.replaceAll(/\$\{(topic|json)\.\w+\}/g, ''), [...path, 'answer', 'topic'])
  const { will } = raw.session ?? {}
  for (const text of [will?.topic, will?.payload]) check(text ?? '', [...path, 'session', 'will'], ['run'])
  if (raw.fault === 'clock-skew' && raw.clockSkew === undefined) {
    fault([...path, 'clockSkew'], 'expected with fault clock-skew')
  }
  const { session, reconnect, answer, dutyCycle } = raw
  return {
    name: raw.name,
    count: raw.count,
    first: raw.first ?? 1,
    idTemplate,
    registryGroups: raw.registryGroups ?? [],
    attributes: raw.attributes ?? {},
    keyType: raw.keyType ?? 'p256',
    link: raw.link ?? 'lean',
    protocol,
    clientIdTemplate: raw.clientId ?? `\${device}`,
    session: {
      clean: session?.clean ?? true,
      keepAliveSeconds: Math.round(ms(session?.keepAlive ?? '60s') / 1000),
      resumeTls: session?.resumeTls ?? false,
      // Without one a session of version 5 ends with its connection, as if it were clean.
      expirySeconds: Math.round(ms(session?.expiry ?? (session?.clean === false ? '1h' : '0s')) / 1000),
      topicAliasMax: session?.topicAliases ?? 0,
      inFlightMax: session?.inFlight ?? IN_FLIGHT_MAX,
      will: will
        ? {
            topic: will.topic,
            payload: will.payload ?? '',
            sparkplug: will.sparkplug !== undefined,
            qos: (will.qos ?? 0) as Qos,
            retain: will.retain ?? false,
          }
        : null,
    },
    headers: raw.headers ?? [],
    publish: (raw.publish ?? []).map(one => ({
      topic: one.topic,
      everyMs: one.every === undefined ? 0 : ms(one.every),
      on: one.on ?? null,
      messagesMax: one.messages ?? null,
      jitter: shareOf(one.jitter, 0.1),
      qos: (one.qos ?? 0) as Qos,
      retain: one.retain ?? false,
      payload: one.payload ?? { sine: { mean: 21, amplitude: 4, period: '10m', noise: 0.2 } },
      numbered: one.payload?.sparkplug || raw.headers?.length ? false : (one.numbered ?? true),
      properties: propertiesPlan(one.properties),
    })),
    subscribe: (raw.subscribe ?? []).map(one => ({
      filter: one.filter,
      qos: (one.qos ?? 0) as Qos,
      noLocal: one.noLocal ?? false,
      retainAsPublished: one.retainAsPublished ?? false,
      retainHandling: (one.retainHandling ?? 0) as 0 | 1 | 2,
    })),
    answer: answer
      ? {
          topic: answer.topic,
          qos: (answer.qos ?? 0) as Qos,
          afterMs: ms(answer.after ?? '0s'),
          payload: answer.payload,
          numbered: answer.numbered ?? true,
        }
      : null,
    dutyCycle: dutyCycle ? { awakeMs: ms(dutyCycle.awake), asleepMs: ms(dutyCycle.asleep) } : null,
    reconnect: {
      firstMs: ms(reconnect?.first ?? '1s'),
      mostMs: ms(reconnect?.most ?? '30s'),
      jitter: shareOf(reconnect?.jitter, 0.75),
      never: reconnect?.never ?? false,
    },
    fault: raw.fault ?? null,
    clockSkewMs: skewMs(raw.clockSkew),
    directory: raw.directory ?? null,
    expect: raw.expect ?? (raw.fault ? faults[raw.fault].expect : 'admitted'),
  }
}

/** What only version 5 has is a mistake below it, not something to leave out in silence. */
function refuseV5(raw: RawGroup, path: Path, fault: ReportProblem): void {
  const only = 'only with protocol: 5'
  for (const key of ['expiry', 'topicAliases'] as const) {
    if (raw.session?.[key] !== undefined) fault([...path, 'session', key], only)
  }
  for (const [index, one] of (raw.publish ?? []).entries()) {
    if (one.properties !== undefined) fault([...path, 'publish', index, 'properties'], only)
  }
  for (const [index, one] of (raw.subscribe ?? []).entries()) {
    for (const key of ['noLocal', 'retainAsPublished', 'retainHandling'] as const) {
      if (one[key] !== undefined) fault([...path, 'subscribe', index, key], only)
    }
  }
}

function propertiesPlan(raw: RawProperties | undefined): PropertiesPlan | null {
  if (raw === undefined) return null
  return {
    utf8: raw.utf8 ?? false,
    expirySeconds: raw.expiry === undefined ? null : Math.round(ms(raw.expiry) / 1000),
    contentType: raw.contentType ?? null,
    responseTopic: raw.responseTopic ?? null,
    correlation: raw.correlation ?? null,
    user: (raw.user ?? []).map(one => Object.entries(one)[0] as [string, string]),
  }
}
