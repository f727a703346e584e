// `sim conn|pub|sub` with the flags that users of emqtt-bench know, as a scenario like any other.
// Pure. Does not know how it is run.
import { BadUsage } from '../failure.ts'
import { type Plan, planOf } from './plan.ts'
import { shapeProblems } from './read.ts'
import type { Scenario } from './schema.ts'
import { protocolFlag } from './v5-schema.ts'

const compatibilityVerbs = ['conn', 'pub', 'sub'] as const
export type CompatibilityVerb = (typeof compatibilityVerbs)[number]

/** As they come from the command line: text, or absent. */
export type CompatibilityFlags = {
  host?: string
  port?: string
  count?: string
  startnumber?: string
  connrate?: string
  interval?: string
  interval_of_msg?: string
  topic?: string
  size?: string
  qos?: string
  keepalive?: string
  ifaddr?: string
  prefix?: string
  duration?: string
  session?: string
  mqttVersion?: string
  ws?: boolean
}

/** @throws BadUsage with every problem. */
export function compatibilityPlan(verb: CompatibilityVerb, flags: CompatibilityFlags): Plan {
  const scenario = scenarioOf(verb, flags)
  const shape = shapeProblems(scenario)
  const { plan, faults } = shape.length > 0 ? { plan: null, faults: shape } : planOf(scenario)
  if (plan) return plan
  throw new BadUsage(faults.map(({ path, message }) => `sim ${verb}: ${flagAt(path.join('.'))}: ${message}`))
}

function scenarioOf(verb: CompatibilityVerb, flags: CompatibilityFlags): Scenario {
  const startEveryMs = number(flags.interval, 10)
  // An %i or %c of emqtt-bench is a ${n} or ${device} here.
  const topic = (flags.topic ?? (verb === 'sub' ? 'devices/%c/#' : 'devices/%c/bench'))
    .replaceAll('%i', '$' + '{n}')
    .replaceAll(/%[cu]/g, '$' + '{device}')
  const qos = number(flags.qos, 0)
  const every = `${number(flags.interval_of_msg, 1_000)}ms`
  const payload = { random: { bytes: number(flags.size, 256) } }
  return {
    name: `${verb} of ${number(flags.count, 200)}`,
    ...(flags.ifaddr === undefined ? {} : { sources: flags.ifaddr.split(',') }),
    groups: [
      {
        name: 'bench',
        count: number(flags.count, 200),
        first: number(flags.startnumber, 0) + 1,
        id: `${flags.prefix ?? 'sim-bench-'}\${n}`,
        protocol: protocolFlag(flags.mqttVersion) ?? 4,
        session: { keepAlive: `${number(flags.keepalive, 300)}s` },
        ...(verb === 'pub' ? { publish: [{ topic, every, qos, payload }] } : {}),
        ...(verb === 'sub' ? { subscribe: [{ filter: topic, qos }] } : {}),
      },
    ],
    stages: [
      { kind: 'ramp', rate: flags.connrate === undefined ? 1_000 / startEveryMs : number(flags.connrate, 0) },
      { kind: 'steady', for: flags.duration ?? '24h' },
    ],
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
]

function flagAt(path: string): string {
  return flagNames.find(([pattern]) => pattern.test(path))?.[1] ?? path
}
