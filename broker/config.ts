// The broker's settings: their defaults and bounds, and how given ones are judged, all at once.
// Every limit has a default and bounds; none can be switched off.
import { availableParallelism } from 'node:os'
import { trustedBalancers } from './gate/proxy-header.ts'
import { nearestName } from './nearest-name.ts'

/** Sizes in bytes, waits in ms, the rest are counts or one of a few words. */
export type BrokerSettings = { [name in keyof typeof settings]: number } & {
  [name in keyof typeof choices]: (typeof choices)[name]['words'][number]
} & { [name in keyof typeof texts]: string }

type Setting = { default: number; min: number; max: number; about: string }
type Text = { default: string; judge(text: string): unknown; about: string }
type Choice = { default: string; words: readonly string[]; about: string }

export const settings = {
  gates: { default: 0, min: 0, max: 64, about: 'gate processes, or auto; 0 for a gate inside the engine' },
  secondPort: {
    default: 0,
    min: 0,
    max: 65_535,
    about: 'one more port for devices, such as 443; 0 for none',
  },
  connectionsMax: {
    default: 100_000,
    min: 1,
    max: 1_000_000,
    about: 'connections at once, handshakes included',
  },
  handshakesMax: { default: 1_000, min: 1, max: 100_000, about: 'TLS handshakes at once' },
  handshakesWaitingMax: {
    default: 20_000,
    min: 0,
    max: 1_000_000,
    about: 'connections that wait for their handshake',
  },
  handshakeWaitMs: {
    default: 60_000,
    min: 100,
    max: 600_000,
    about: 'how long a connection may wait for its handshake',
  },
  strangerShare: {
    default: 50,
    min: 1,
    max: 100,
    about: 'percent of the handshakes for addresses that no device on the roll came from lately',
  },
  addressRatePerSecond: {
    default: 1_000,
    min: 1,
    max: 1_000_000,
    about: 'new connections per second from one address; a stranger counts as ten',
  },
  addressBurst: {
    default: 20_000,
    min: 1,
    max: 1_000_000,
    about: 'new connections from one address before the rate holds',
  },
  addressHandshakesMax: {
    default: 1_000,
    min: 1,
    max: 100_000,
    about: 'TLS handshakes at once from one address',
  },
  addressesMax: { default: 50_000, min: 100, max: 10_000_000, about: 'addresses whose rate is remembered' },
  handshakeTimeoutMs: {
    default: 10_000,
    min: 100,
    max: 120_000,
    about: 'from accept to the end of the handshake',
  },
  ticketLifetimeMs: {
    default: 3_600_000,
    min: 0,
    max: 86_400_000,
    about: 'how long a TLS session may be resumed; 0 for never',
  },
  connectTimeoutMs: { default: 5_000, min: 100, max: 120_000, about: 'from the handshake to CONNECT' },
  connectBytesMax: {
    default: 65_536,
    min: 256,
    max: 1_048_576,
    about: 'declared size of CONNECT, will included',
  },
  packetBytesMax: {
    default: 262_144,
    min: 256,
    max: 268_435_455,
    about: 'declared size of any later packet',
  },
  outboundBytesMax: {
    default: 1_048_576,
    min: 16_384,
    max: 1_073_741_824,
    about: 'unsent bytes before QoS 0 is dropped',
  },
  outboundTimeoutMs: {
    default: 20_000,
    min: 100,
    max: 600_000,
    about: 'how long a full socket may not drain',
  },
  subscriptionsMax: { default: 1_000, min: 1, max: 100_000, about: 'subscriptions of one session' },
  topicLevelsMax: { default: 64, min: 1, max: 100, about: 'levels of a topic or filter' },
  inflightInboundMax: {
    default: 1_000,
    min: 1,
    max: 65_535,
    about: 'QoS 2 messages of one client awaiting PUBREL',
  },
  offlineBytesMax: {
    default: 4_194_304,
    min: 1_024,
    max: 1_073_741_824,
    about: 'bytes kept for one persistent session',
  },
  offlineBytesTotalMax: {
    default: 536_870_912,
    min: 1_024,
    max: 1_099_511_627_776,
    about: 'bytes kept for all persistent sessions together',
  },
  offlineAgeMaxMs: {
    default: 604_800_000,
    min: 1_000,
    max: 31_536_000_000,
    about: 'how long a message waits for its device',
  },
  durableSessions: {
    default: 1,
    min: 0,
    max: 1,
    about: '0 keeps sessions in memory alone: a restart forgets them',
  },
  eventLog: {
    default: 1,
    min: 0,
    max: 1,
    about: '0 tells nobody who connects, leaves or is refused: no feed, no webhooks, no counts per minute',
  },
  retainedBytesMax: {
    default: 268_435_456,
    min: 1_024,
    max: 1_099_511_627_776,
    about: 'bytes of all retained messages',
  },
  topicBytesMax: { default: 1_024, min: 64, max: 65_535, about: 'length of a topic or filter' },
  offlineMessagesMax: {
    default: 1_000,
    min: 1,
    max: 1_000_000,
    about: 'messages kept for one persistent session',
  },
  retainedMessagesMax: { default: 100_000, min: 1, max: 10_000_000, about: 'retained messages in all' },
  sysIntervalMs: {
    default: 10_000,
    min: 0,
    max: 3_600_000,
    about: 'how often the figures below $SYS/broker are published; 0 for never',
  },
  suspendClones: { default: 0, min: 0, max: 1, about: '1 suspends a certificate that two are using' },
  drainMs: {
    default: 5_000,
    min: 0,
    max: 6_000,
    about: 'how long a broker that stops waits for messages of QoS 1 and 2 that are half done',
  },
  registryPollMs: { default: 25, min: 5, max: 1_000, about: 'how often the change feed is looked at' },
  maxSessionAgeMs: {
    default: 0,
    min: 0,
    max: 31_536_000_000,
    about: 'how long a session may last before it must connect anew; 0 for as long as its right',
  },
  registryLossMs: {
    default: 30_000,
    min: 100,
    max: 600_000,
    about: 'how long the change feed may stay unread before nobody new is admitted',
  },
} as const satisfies Record<string, Setting>

export const choices = {
  registryLossMode: {
    default: 'closed',
    words: ['closed', 'open'],
    about: 'whom to admit while the registry is lost: nobody, or who was last known',
  },
} as const satisfies Record<string, Choice>

export const texts = {
  proxyFrom: {
    default: '',
    judge: trustedBalancers,
    about:
      'load balancers whose connections begin with a PROXY v2 header: addresses or networks, separated by commas',
  },
} as const satisfies Record<string, Text>

export const settingNames: readonly string[] = Object.keys({ ...settings, ...choices, ...texts })

/** Raised with every problem found, so that one run tells all. */
export class ConfigError extends Error {
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(`the broker's settings do not hold:\n${problems.map(problem => `  - ${problem}`).join('\n')}`)
    this.name = 'ConfigError'
    this.problems = problems
  }
}

/** Completes given settings with the defaults. Throws `ConfigError` naming every unknown or impossible one. */
export function judgeSettings(given: Record<string, unknown>): BrokerSettings {
  const problems = Object.keys(given)
    .filter(name => !settingNames.includes(name))
    .map(name => {
      const nearest = nearestName(name, settingNames)
      return `${name}: unknown setting${nearest === null ? '' : `, did you mean ${nearest}?`}`
    })
  const judged: Record<string, unknown> = {}
  for (const [name, { default: standard, min, max, about }] of Object.entries<Setting>(settings)) {
    const value = name === 'gates' && given[name] === 'auto' ? gatesHere() : (given[name] ?? standard)
    if (!Number.isInteger(value) || (value as number) < min || (value as number) > max) {
      problems.push(
        `${name}: ${JSON.stringify(value)} is not a whole number from ${min} to ${max} (${about})`,
      )
    }
    judged[name] = value
  }
  for (const [name, { default: standard, words, about }] of Object.entries<Choice>(choices)) {
    const value = given[name] ?? standard
    if (!words.includes(value as string))
      problems.push(`${name}: ${JSON.stringify(value)} is none of ${words.join(', ')} (${about})`)
    judged[name] = value
  }
  for (const [name, { default: standard, judge, about }] of Object.entries<Text>(texts)) {
    const value = given[name] ?? standard
    try {
      if (typeof value !== 'string') throw new Error('it is no text')
      judge(value)
    } catch (error) {
      problems.push(`${name}: ${(error as Error).message} (${about})`)
    }
    judged[name] = value
  }
  if (problems.length > 0) throw new ConfigError(problems)
  return judged as BrokerSettings
}

/** One core is left to the engine. */
function gatesHere(): number {
  return Math.max(1, availableParallelism() - 1)
}

/** The environment variable of a setting: `handshakesMax` is `ROLLCALL_BROKER_HANDSHAKES_MAX`. */
export function environmentName(setting: string): string {
  return `ROLLCALL_BROKER_${setting.replaceAll(/[A-Z]/g, letter => `_${letter}`).toUpperCase()}`
}
