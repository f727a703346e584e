// Clauses of enhanced authentication, as they bind every server: methods it does not know, and AUTH where none may come. MQTT 5 §3.15, §4.12.
import type { Clause } from './clause.ts'
import { ClauseFailed } from './peer.ts'
import { closing, rawConnect, text } from './raw-packets.ts'
import { equal } from './trial.ts'

const METHOD = 'method that nobody has'
/** Authentication Method and Authentication Data, as properties of CONNECT and AUTH. */
const method = [0x15, ...text(METHOD)]
const data = [0x16, ...text('x')]

const only = (id: string): Clause['id'] => ({ 5: id })
const auth = (reasonCode: number, properties: number[], flags = 0): number[] => [
  0xf0 | flags,
  2 + properties.length,
  reasonCode,
  properties.length,
  ...properties,
]

export const authenticationClauses: Clause[] = [
  {
    id: only('MQTT-4.12.0-1'),
    what: 'an Authentication Method that the server does not know is refused: by 0x8C or 0x87, or without an answer',
    async play(trial) {
      const peer = await trial.open()
      peer.raw(rawConnect(trial, { properties: [...method, ...data] }))
      await peer.closes('an unknown Authentication Method')
      const connack = await peer.expect('connack').catch(() => null)
      if (connack && connack.reasonCode !== 0x8c && connack.reasonCode !== 0x87)
        throw new ClauseFailed(`CONNACK ${connack.reasonCode}`)
    },
  },
  {
    id: only('MQTT-4.12.0-6'),
    what: 'where CONNECT names no Authentication Method, CONNACK names none, and no AUTH comes',
    async play(trial) {
      const { peer, connack } = await trial.connect()
      equal(connack.properties?.['authenticationMethod'], undefined, 'the Authentication Method of CONNACK')
      peer.send({ cmd: 'pingreq' })
      await peer.expect('pingresp')
      equal(peer.has('auth'), false, 'an AUTH')
    },
  },
  closing(
    only('§3.1.2.11.10'),
    'Authentication Data without an Authentication Method',
    trial => rawConnect(trial, { properties: data }),
    false,
  ),
  closing(
    only('§3.1.2.11.9'),
    'an Authentication Method twice in CONNECT',
    trial => rawConnect(trial, { properties: [...method, ...method] }),
    false,
  ),
  closing(only('MQTT-3.1.0-1'), 'an AUTH before CONNECT', () => auth(0x18, method), false),
  closing(only('MQTT-4.12.0-7'), 'an AUTH where CONNECT named no Authentication Method', () =>
    auth(0x18, [...method, ...data]),
  ),
  closing(only('MQTT-4.12.1-1'), 'a re-authentication where CONNECT named no Authentication Method', () =>
    auth(0x19, method),
  ),
  closing(only('§3.15.2.2.2'), 'an AUTH without an Authentication Method', () => [0xf0, 0]),
  closing(only('MQTT-3.15.1-1'), 'an AUTH with flags', () => auth(0x19, method, 2)),
  closing(only('MQTT-3.15.2-1'), 'an AUTH with a Reason Code of another packet', () => auth(0x10, method)),
]
