// The names that scenarios and flags give the versions of MQTT.
import { BadUsage } from '../failure.ts'
import type { Protocol } from '../links/session.ts'

/** As mosquitto (mqttv5), emqtt-bench (5) and MQTTX (3.1.1) write it. */
const protocols = {
  '3.1': 3,
  3: 3,
  31: 3,
  mqttv31: 3,
  '3.1.1': 4,
  4: 4,
  311: 4,
  mqttv311: 4,
  5: 5,
  '5.0': 5,
  mqttv5: 5,
} as const satisfies Record<string, Protocol>

function protocolNamed(name: string): Protocol | null {
  return Object.hasOwn(protocols, name) ? protocols[name as keyof typeof protocols] : null
}

/** The version of MQTT that a scenario names; 3.1.1 where nothing is said. */
export function protocolOf(name: string | number | undefined): Protocol {
  return (name === undefined ? null : protocolNamed(String(name))) ?? 4
}

/** `-V` on the command line; null where it was not given. @throws BadUsage for a version that is none. */
export function protocolFlag(name: string | undefined): Protocol | null {
  if (name === undefined) return null
  const protocol = protocolNamed(name)
  if (protocol !== null) return protocol
  throw new BadUsage([`-V: expected ${Object.keys(protocols).join(', ')}, got ${JSON.stringify(name)}`])
}
