// `sim conn|pub|sub` with the flags of emqtt-bench, and `sim bench` with those of MQTTX, as a scenario like any other.
// Pure. Does not know how it is run. Flags after emqtt-bench 0.4 to 0.6 (src/emqtt_bench.erl) and MQTTX 1.9 to 1.12 (cli/src/index.ts).
import { BadUsage } from '../failure.ts'
import { type Plan, planOf } from './plan.ts'
import { protocolFlag } from './protocol-names.ts'
import type { RawGroup, Scenario } from './schema.ts'
import { shapeProblems } from './shape.ts'

const compatibilityVerbs = ['conn', 'pub', 'sub'] as const
export type CompatibilityVerb = (typeof compatibilityVerbs)[number]

/** As they come from the command line: text, or absent. Names are emqtt-bench's; `bench.ts` gives those of MQTTX these names. */
export type CompatibilityFlags = {
  host?: string
  port?: string
  count?: string
  startnumber?: string
  connrate?: string
  interval?: string
  interval_of_msg?: string
  topic?: string | string[]
  size?: string
  message?: string
  qos?: string
  retain?: string | boolean
  keepalive?: string
  clean?: string | boolean
  sessionExpiry?: string
  limit?: string
  inflight?: string
  waitBeforePublishing?: string | boolean
  payloadHdrs?: string
  ifaddr?: string
  prefix?: string
  shortids?: string | boolean
  /** Of MQTTX: with %i for the number. */
  clientId?: string
  username?: string
  duration?: string
  mqttVersion?: string
  ssl?: string | boolean
  ws?: string | boolean
  path?: string
  /** Of MQTTX, in version 5. */
  properties?: NonNullable<NonNullable<RawGroup['publish']>[number]['properties']>
  topicAliasMaximum?: string
  noLocal?: boolean
  retainAsPublished?: boolean
  retainHandling?: string
}

/** @throws BadUsage with every problem. */
export function compatibilityPlan(verb: CompatibilityVerb, flags: CompatibilityFlags): Plan {
  const problems: string[] = []
  const scenario = scenarioOf(verb, flags, problems)
  const shape = shapeProblems(scenario)
  const { plan, faults } = shape.length > 0 ? { plan: null, faults: shape } : planOf(scenario)
  if (plan && problems.length === 0) return plan
  throw new BadUsage([
    ...problems.map(problem => `sim ${verb}: ${problem}`),
    ...faults.map(({ path, message }) => `sim ${verb}: ${flagAt(path.join('.'))}: ${message}`),
  ])
}

/** `getopt` takes a boolean flag alone, or with `true` or `false`. */
export function isOn(flag: string | boolean | undefined, fallback = false): boolean {
  return flag === undefined ? fallback : flag === true || flag === 'true'
}

function scenarioOf(verb: CompatibilityVerb, flags: CompatibilityFlags, problems: string[]): Scenario {
  const count = number(flags.count, 200)
  const startEveryMs = number(flags.interval, 10)
  const topics = [flags.topic ?? (verb === 'sub' ? 'devices/%c/#' : 'devices/%c/bench')].flat()
  const qos = number(flags.qos, 0)
  const everyMs = number(flags.interval_of_msg, 1_000)
  const protocol = protocolFlag(flags.mqttVersion) ?? 5
  const headers = headersOf(flags.payloadHdrs, problems)
  const limit = number(flags.limit, 0)
  const v5 = protocol === 5
  const variables = (topic: string) => fromPercent(topic, flags.username, problems)
  // -m is what others expect byte by byte.
  const message = flags.message?.startsWith('template://')
    ? { payload: { file: flags.message.slice('template://'.length) } }
    : { payload: { constant: flags.message ?? '' }, numbered: false }
  const carried =
    flags.message === undefined ? { payload: { random: { bytes: number(flags.size, 256) } } } : message
  const options = v5 ? subscriptionOptionsOf(flags) : {}
  return {
    name: `${verb} of ${count}`,
    ...(flags.ifaddr === undefined ? {} : { sources: flags.ifaddr.split(',') }),
    groups: [
      {
        name: 'bench',
        count,
        first: number(flags.startnumber, 0) + 1,
        id: idOf(verb, flags),
        protocol: protocol === 3 ? 3 : v5 ? 5 : '3.1.1',
        ...(headers.length > 0 ? { headers } : {}),
        session: {
          keepAlive: `${number(flags.keepalive, 300)}s`,
          clean: isOn(flags.clean, true),
          ...(v5 && flags.sessionExpiry !== undefined
            ? { expiry: `${number(flags.sessionExpiry, 0)}s` }
            : {}),
          ...(v5 && flags.topicAliasMaximum !== undefined
            ? { topicAliases: number(flags.topicAliasMaximum, 0) }
            : {}),
          // 0 is no bound there.
          ...(flags.inflight === undefined ? {} : { inFlight: number(flags.inflight, 1) || 65_535 }),
        },
        ...(verb === 'pub'
          ? {
              publish: topics.map(topic => ({
                topic: variables(topic),
                every: `${everyMs}ms`,
                qos,
                retain: isOn(flags.retain),
                ...(limit > 0 ? { messages: limit } : {}),
                ...carried,
                ...(v5 && flags.properties ? { properties: flags.properties } : {}),
              })),
            }
          : {}),
        ...(verb === 'sub'
          ? { subscribe: topics.map(topic => ({ filter: variables(topic), qos, ...options })) }
          : {}),
      },
    ],
    stages: [
      {
        kind: 'ramp',
        rate: flags.connrate === undefined ? 1_000 / startEveryMs : number(flags.connrate, 0),
        ...(isOn(flags.waitBeforePublishing) ? { quiet: true } : {}),
      },
      { kind: 'steady', for: flags.duration ?? lengthOf(limit, count, everyMs) },
    ],
  }
}

/** A run ends when its last message is sent; here is when it ends where devices cannot send theirs. */
function lengthOf(limit: number, count: number, everyMs: number): string {
  return limit > 0 ? `${(Math.ceil(limit / Math.max(1, count)) + 1) * everyMs * 2 + 60_000}ms` : '24h'
}

/** Client IDs as emqtt-bench makes them of its flags; our own where it would make a random one. */
function idOf(verb: CompatibilityVerb, { prefix, shortids, clientId }: CompatibilityFlags): string {
  const place = '$' + '{number}'
  if (clientId !== undefined)
    return clientId.includes('%i') ? clientId.replaceAll('%i', place) : `${clientId}_${place}`
  if (isOn(shortids)) return `${prefix ?? ''}${place}`
  return prefix === undefined ? `sim-bench-\${n}` : `${prefix}_bench_${verb}_${place}`
}

/** `%i`, `%c`, `%u` and `%s` of emqtt-bench. */
function fromPercent(topic: string, username: string | undefined, problems: string[]): string {
  if (topic.includes('%u') && username === undefined)
    problems.push('-t: %u is the user name, and there is no -u')
  return topic
    .replaceAll('%u', username ?? '')
    .replaceAll('%i', '$' + '{number}')
    .replaceAll('%c', '$' + '{device}')
    .replaceAll('%s', '$' + '{seq}')
}

function headersOf(text: string | undefined, problems: string[]): ('cnt64' | 'ts')[] {
  return (text ?? '').split(',').flatMap(name => {
    if (name === 'cnt64' || name === 'ts') return [name]
    if (name !== '') problems.push(`--payload-hdrs: expected cnt64, ts or both, got ${name}`)
    return []
  })
}

function subscriptionOptionsOf({ noLocal, retainAsPublished, retainHandling }: CompatibilityFlags) {
  return {
    ...(noLocal ? { noLocal } : {}),
    ...(retainAsPublished ? { retainAsPublished } : {}),
    ...(retainHandling === undefined ? {} : { retainHandling: number(retainHandling, 0) }),
  }
}

/** NaN for text that is no number, so that the schema names what is expected. */
function number(text: string | undefined, fallback: number): number {
  return text === undefined ? fallback : /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN
}

const flagNames: readonly [RegExp, string][] = [
  [/count$/, '-c'],
  [/first$/, '-n'],
  [/every$/, '-I'],
  [/bytes$/, '-s'],
  [/qos$/, '-q'],
  [/rate$/, '-R or -i'],
  [/keepAlive$/, '-k'],
  [/(topic|filter)$/, '-t'],
  [/id$/, '--prefix'],
  [/^sources/, '--ifaddr'],
  [/for$/, '--duration'],
  [/messages$/, '-L'],
  [/inFlight$/, '-F'],
  [/expiry$/, '-x'],
]

function flagAt(path: string): string {
  return flagNames.find(([pattern]) => pattern.test(path))?.[1] ?? path
}
