// The broker's settings: defaults, bounds, and the validation of given values, all problems at once.
// Every limit has a default and bounds; none can be switched off.
import { availableParallelism } from 'node:os'
import { usernameModes } from '../../admission/client-id.ts'
import { serverReference } from '../../db/nodes/server-reference.ts'
import { pqModes } from '../../pki/key-policy.ts'
import { assertTlsGroups, TLS_GROUPS } from '../../pki/tls-profile.ts'
import { nearestName } from './nearest-name.ts'
import { type Setting, settings } from './numbers.ts'
import { shutdownNotices } from './shutdown-notice.ts'
import { trustedBalancers } from './trusted-balancers.ts'
import { createOriginPolicy } from './web-socket-origins.ts'

export { settings } from './numbers.ts'

/** Sizes in bytes, waits in ms, the rest are counts or one of a few words. */
export type BrokerSettings = { [name in keyof typeof settings]: number } & {
  [name in keyof typeof choices]: (typeof choices)[name]['words'][number]
} & { [name in keyof typeof texts]: string }

type Text = { default: string; judge(text: string): unknown; about: string }
type Choice = { default: string; words: readonly string[]; about: string }

export const choices = {
  registryLossMode: {
    default: 'closed',
    words: ['closed', 'open'],
    about: 'admission while the registry is lost: no device, or those last known',
  },
  usernames: {
    default: 'ignore',
    words: usernameModes,
    about: "username and password of CONNECT: ignored, or strictly the device's ID and none",
  },
  shutdownNotice: {
    default: 'none',
    words: shutdownNotices,
    about: 'DISCONNECT that clients of MQTT 5 get when the broker stops: none, or one with this reason code',
  },
  pq: {
    default: 'accept',
    words: pqModes,
    about: 'devices with ML-DSA keys: refused, or admitted; issue is for provisioning and admits them too',
  },
} as const satisfies Record<string, Choice>

export const texts = {
  backendPolicies: {
    default: 'backend',
    judge: policyNames,
    about: 'policies whose holders are backends, separated by commas: backendFactor is for them',
  },
  proxyFrom: {
    default: '',
    judge: trustedBalancers,
    about:
      'load balancers whose connections begin with a PROXY v2 header: addresses or networks, separated by commas',
  },
  webSocketOrigins: {
    default: '',
    judge: createOriginPolicy,
    about:
      'origins of browser pages that may open a WebSocket, such as https://console.example:8443, separated by commas',
  },
  serverReference: {
    default: '',
    judge: serverReference,
    about: 'servers that shutdownNotice names, such as mqtt2.example:8883, separated by blanks',
  },
  tlsGroups: {
    default: TLS_GROUPS,
    judge: assertTlsGroups,
    about: 'key exchange groups of TLS, the preferred first, separated by colons',
  },
} as const satisfies Record<string, Text>

const POLICY_NAME = /^[A-Za-z0-9._-]{1,64}$/

export const settingNames: readonly string[] = Object.keys({ ...settings, ...choices, ...texts })

/** Thrown with every problem found. */
export class ConfigError extends Error {
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(`the broker's settings do not hold:\n${problems.map(problem => `  - ${problem}`).join('\n')}`)
    this.name = 'ConfigError'
    this.problems = problems
  }
}

/** Completes given settings with the defaults. Throws `ConfigError` naming every unknown or impossible one. */
export function validateSettings(given: Record<string, unknown>): BrokerSettings {
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

/** The policies that a setting names; none where it is empty. Throws where one cannot be a name. */
export function policyNames(text: string): Set<string> {
  const names = text
    .split(',')
    .map(name => name.trim())
    .filter(name => name !== '')
  const odd = names.find(name => !POLICY_NAME.test(name))
  if (odd !== undefined) throw new Error(`${JSON.stringify(odd)} is no name of a policy`)
  return new Set(names)
}

/** One core is left to the engine. */
function gatesHere(): number {
  return Math.max(1, availableParallelism() - 1)
}

/** The environment variable of a setting: `handshakesMax` is `ROLLCALL_BROKER_HANDSHAKES_MAX`. */
export function environmentName(setting: string): string {
  return `ROLLCALL_BROKER_${setting.replaceAll(/[A-Z]/g, letter => `_${letter}`).toUpperCase()}`
}
