// The properties of a device's messages in MQTT 5, and whether a message came with those that its sender gave it.
// Pure. Does not know how it travelled.
import { type Digests, digestsOf, type MessageProperties, noProperties } from '../links/properties.ts'
import type { LinkKind } from '../links/session.ts'
import type { PropertiesPlan } from '../scenario/plan.ts'
import type { Promised } from './payload.ts'

/** What a publisher gives each message, and its digests. */
export type Given = { properties: MessageProperties; digests: Digests }

const nothingGiven: Given = { properties: noProperties, digests: digestsOf(noProperties) }

/** `fill` fills a device's name and number in. */
export function givenBy(plan: PropertiesPlan | null, link: LinkKind, fill: (text: string) => string): Given {
  if (plan === null) return nothingGiven
  const filled = (text: string | null): string | null => (text === null ? null : fill(text))
  const user = plan.user.map(([name, value]) => [fill(name), fill(value)] as const)
  const correlation = filled(plan.correlation)
  const properties: MessageProperties = {
    utf8: plan.utf8,
    expirySeconds: plan.expirySeconds,
    contentType: filled(plan.contentType),
    responseTopic: filled(plan.responseTopic),
    correlation: correlation === null ? null : Buffer.from(correlation),
    user: link === 'mqttjs' ? grouped(user) : user,
  }
  return { properties, digests: digestsOf(properties) }
}

/** As MQTT.js sends them: an object of names, whole numbers first, each with its values. */
function grouped(user: readonly (readonly [string, string])[]): (readonly [string, string])[] {
  const byName: Record<string, (readonly [string, string])[]> = Object.create(null)
  for (const pair of user) {
    byName[pair[0]] ??= []
    byName[pair[0]]?.push(pair)
  }
  return Object.values(byName).flat()
}

/** A broker counts whole seconds, and the message was under way before and after it. */
const TOLERANCE_MS = 2_000

type Fidelity = { altered: boolean; expired: boolean }

const faithful: Fidelity = { altered: false, expired: false }

/** Null properties are those of a receiver that is not in version 5: it has none. */
export function fidelityOf(
  promise: Promised | null,
  properties: MessageProperties | null,
  keepsOrder: boolean,
  now: number,
): Fidelity {
  if (promise === null || properties === null) return faithful
  const digests = digestsOf(properties)
  const same = keepsOrder ? digests.ordered === promise.ordered : digests.byName === promise.byName
  const sent = promise.expirySeconds
  const left = properties.expirySeconds
  // An interval that was not sent, is missing or has grown was not counted down.
  if (sent === null || left === null || left > sent)
    return { altered: !same || sent !== left, expired: false }
  const waitedMs = now - promise.sentAt
  // [MQTT-3.3.2-5], [MQTT-3.3.2-6]
  const tooLate = waitedMs > sent * 1000 + TOLERANCE_MS
  const uncounted = Math.abs((sent - left) * 1000 - waitedMs) > TOLERANCE_MS
  return { altered: !same, expired: tooLate || uncounted }
}
