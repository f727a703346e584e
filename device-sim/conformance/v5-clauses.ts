// Clauses that MQTT 5 alone has: properties, session expiry, will delay, aliases, subscription options, limits of the client.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Clause } from './clause.ts'
import { NotApplicable } from './peer.ts'
import { closing, rawConnect, rawPublish } from './raw-packets.ts'
import { equal, holds, lose, nextId, receive, receiveAll, subscribe } from './trial.ts'

const only = (id: string): Clause['id'] => ({ 5: id })
const keep = { clean: false, properties: { sessionExpiryInterval: 60 } }

export const v5Clauses: Clause[] = [
  closing(
    only('§3.1.2.11.2'),
    'Session Expiry Interval twice in CONNECT',
    trial => rawConnect(trial, { properties: [0x11, 0, 0, 0, 1, 0x11, 0, 0, 0, 2] }),
    false,
  ),
  closing(
    only('§3.1.2.11.3'),
    'Receive Maximum 0 in CONNECT',
    trial => rawConnect(trial, { properties: [0x21, 0, 0] }),
    false,
  ),
  closing(
    only('§3.1.2.11.4'),
    'Maximum Packet Size 0 in CONNECT',
    trial => rawConnect(trial, { properties: [0x27, 0, 0, 0, 0] }),
    false,
  ),
  closing(
    only('§3.1.2.11.7'),
    'Request Problem Information 2 in CONNECT',
    trial => rawConnect(trial, { properties: [0x17, 2] }),
    false,
  ),
  closing(
    only('§2.2.2.2'),
    'a property of another packet in CONNECT',
    trial => rawConnect(trial, { properties: [0x23, 0, 1] }),
    false,
  ),
  closing(only('MQTT-3.3.2-8'), 'a Topic Alias of 0', trial =>
    rawPublish(trial, { properties: [0x23, 0, 0] }),
  ),
  closing(only('MQTT-3.3.2-14'), 'a Response Topic with a wildcard', trial =>
    rawPublish(trial, { properties: [0x08, 0, 1, 0x23] }),
  ),
  closing(only('MQTT-3.3.4-6'), 'a Subscription Identifier from a client', trial =>
    rawPublish(trial, { properties: [0x0b, 1] }),
  ),
  closing(only('§3.3.2.1'), 'an empty topic without a Topic Alias', trial =>
    rawPublish(trial, { topic: '' }),
  ),
  closing(only('§3.8.2.1.2'), 'a Subscription Identifier of 0', () => [
    0x82, 9, 0, 1, 2, 0x0b, 0, 0, 1, 0x61, 0,
  ]),
  closing(only('§3.8.3.1'), 'Retain Handling 3', () => [0x82, 7, 0, 1, 0, 0, 1, 0x61, 0x30]),
  {
    id: only('MQTT-3.8.3-4'),
    what: 'No Local on a shared subscription',
    async play(trial) {
      const { peer, connack } = await trial.connect()
      if (connack.properties?.['sharedSubscriptionAvailable'] === false)
        throw new NotApplicable('no shared subscriptions')
      peer.send({
        cmd: 'subscribe',
        messageId: nextId(),
        subscriptions: [{ topic: `$share/g/${trial.base}/a`, qos: 0, nl: true }],
      })
      await peer.closes('No Local on a shared subscription')
    },
  },
  {
    id: only('MQTT-3.2.2-16'),
    what: 'an empty client ID gets one that CONNACK says',
    async play(trial) {
      const { connack } = await trial.connect({ clientId: '' })
      const assigned = connack.properties?.['assignedClientIdentifier']
      holds(typeof assigned === 'string' && assigned !== '', 'no Assigned Client Identifier')
    },
  },
  {
    id: only('MQTT-4.1.0-2'),
    what: 'a session without Session Expiry Interval ends with its connection',
    async play(trial) {
      const { peer } = await trial.connect({ clean: false })
      await subscribe(peer, `${trial.base}/a`, 1)
      await peer.leave()
      equal((await trial.connect({ clean: false })).connack.sessionPresent, false, 'session present')
    },
  },
  {
    id: only('§3.14.2.2.2'),
    what: 'DISCONNECT may end the session at once by a Session Expiry Interval of 0',
    async play(trial) {
      const { peer } = await trial.connect(keep)
      await subscribe(peer, `${trial.base}/a`, 1)
      peer.raw(Buffer.from([0xe0, 7, 0, 5, 0x11, 0, 0, 0, 0]))
      await peer.closes('DISCONNECT')
      equal((await trial.connect(keep)).connack.sessionPresent, false, 'session present')
    },
  },
  {
    id: only('MQTT-4.1.0-2'),
    what: 'a session ends when its Session Expiry Interval is over',
    async play(trial) {
      const one = { clean: false, properties: { sessionExpiryInterval: 1 } }
      const { peer } = await trial.connect(one)
      await subscribe(peer, `${trial.base}/a`, 1)
      await peer.leave()
      await sleep(Math.min(2_500, 1_000 + trial.patienceMs))
      equal((await trial.connect(one)).connack.sessionPresent, false, 'session present')
    },
  },
  {
    id: only('MQTT-3.1.3-9'),
    what: 'a will with a delay is not sent where the client is back before',
    async play(trial) {
      const will = {
        topic: `${trial.base}/will`,
        payload: Buffer.from('w'),
        qos: 1 as const,
        retain: false,
        properties: { willDelayInterval: 60 },
      }
      const { peer } = await trial.connect({ ...keep, will })
      await subscribe(peer, will.topic, 1)
      await lose(peer)
      const { peer: later } = await trial.connect(keep)
      equal((await receiveAll(later, trial)).length, 0, 'wills')
    },
  },
  {
    id: only('§3.14.2.1'),
    what: 'DISCONNECT 0x04 sends the will',
    async play(trial) {
      const will = { topic: `${trial.base}/will`, payload: Buffer.from('w'), qos: 1 as const, retain: false }
      const { peer } = await trial.connect({ ...keep, will })
      await subscribe(peer, will.topic, 1)
      peer.raw(Buffer.from([0xe0, 1, 4]))
      await peer.closes('DISCONNECT')
      const { peer: later } = await trial.connect(keep)
      equal((await receive(later)).payload, 'w', 'the will')
    },
  },
]
