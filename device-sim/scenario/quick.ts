// `rollcall sim --devices …`: a fleet that publishes and listens, with rogues where asked, as a scenario like any other.
// Pure. Does not know how it is run.

import { rogueKinds } from '../enrollment/rogues.ts'
import { BadUsage } from '../failure.ts'
import { type Plan, planOf } from './plan.ts'
import { protocolFlag } from './protocol-names.ts'
import type { RawGroup, RawStage, Scenario } from './schema.ts'
import { shapeProblems } from './shape.ts'

/** As they come from the command line: text, or absent. */
export type QuickFlags = {
  devices?: string
  rate?: string
  interval?: string
  duration?: string
  /** `true` for the bare flag; text is the number of rogues of each kind. */
  rogues?: string | boolean
  qos?: string
  prefix?: string
  keyType?: string
  connectTimeout?: string
  mqttVersion?: string
}

const ROGUES_MAX = 100
/** Rogues get at least this long to be turned away before the run is over. */
const ROGUES_SECONDS_MIN = 2

/** @throws BadUsage with every problem. */
export function quickPlan(flags: QuickFlags): Plan {
  const scenario = scenarioOf(flags)
  const shape = shapeProblems(scenario)
  const { plan, faults } = shape.length > 0 ? { plan: null, faults: shape } : planOf(scenario)
  if (plan) return plan
  throw new BadUsage([...new Set(faults.map(({ path, message }) => `${flagAt(path.join('.'))}: ${message}`))])
}

function scenarioOf(flags: QuickFlags): Scenario {
  const prefix = flags.prefix ?? 'sim-'
  const keyType = (flags.keyType ?? 'p256') as NonNullable<RawGroup['keyType']>
  const protocol = protocolFlag(flags.mqttVersion) ?? 4
  const rate = number(flags.rate, 50)
  const devices = number(flags.devices, 100)
  const fleet: RawGroup = {
    name: 'fleet',
    count: devices,
    id: `${prefix}\${n}`,
    keyType,
    protocol,
    publish: [
      {
        topic: `devices/\${device}/telemetry`,
        every: flags.interval ?? '5s',
        qos: number(flags.qos, 1),
        payload: {
          json: { device: `\${device}`, sequence: `\${seq}`, sentAt: `\${time}`, temperature: `\${random}` },
        },
      },
    ],
    subscribe: [{ filter: `devices/\${device}/commands/#`, qos: 1 }],
  }
  const each = roguesOf(flags.rogues)
  const rogues: RawGroup[] = rogueKinds.map(kind => {
    return { name: kind, count: each, id: `${prefix}rogue-${kind}-\${n}`, keyType, protocol, fault: kind }
  })
  const seconds = Math.max(ROGUES_SECONDS_MIN, (each * rogues.length) / rate)
  const sendIn: RawStage = { name: 'rogues', kind: 'ramp', groups: [...rogueKinds], rate, for: `${seconds}s` }
  return {
    name: `fleet of ${devices}`,
    ...(flags.connectTimeout === undefined ? {} : { connectTimeout: flags.connectTimeout }),
    groups: each === 0 ? [fleet] : [fleet, ...rogues],
    stages: [
      { name: 'connect', kind: 'ramp', groups: ['fleet'], rate },
      // Once the fleet is there: stealing a client ID is a better test while its owner is connected.
      ...(each === 0 ? [] : [sendIn]),
      { name: 'run', kind: 'steady', for: flags.duration ?? '30s' },
    ],
    assert: [{ that: 'connected = 100%', group: 'fleet' }],
    thresholds: ['unacknowledged = 0', 'subscribeRefused = 0'],
  }
}

function roguesOf(flag: string | boolean | undefined): number {
  if (flag === undefined || flag === false) return 0
  const count = flag === true ? 1 : number(flag, 1)
  if (Number.isInteger(count) && count <= ROGUES_MAX) return count
  throw new BadUsage([`--rogues: expected a whole number from 0 to ${ROGUES_MAX}, got ${flag}`])
}

/** NaN for text that is no number, so that the schema names what is expected. */
function number(text: string | undefined, fallback: number): number {
  return text === undefined ? fallback : /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN
}

const flagNames: readonly [RegExp, string][] = [
  [/count$/, '--devices'],
  [/every$/, '--interval'],
  [/qos$/, '--qos'],
  [/rate$/, '--rate'],
  [/keyType$/, '--key-type'],
  [/id$/, '--prefix'],
  [/for$/, '--duration'],
  [/^connectTimeout/, '--connect-timeout'],
]

function flagAt(path: string): string {
  return flagNames.find(([pattern]) => pattern.test(path))?.[1] ?? path
}
