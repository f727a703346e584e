// Clauses of CONNECT, CONNACK, the session's beginning and end, wills. MQTT 3.1.1 §3.1, §3.2, §3.14; MQTT 5 likewise.
import type { Clause } from './clause.ts'
import { closing, rawConnect, text } from './raw-packets.ts'
import { equal, holds, lose, publish, receive, receiveAll, subscribe, type Trial } from './trial.ts'

const refusedConnect = (id: Clause['id'], what: string, bytes: (trial: Trial) => Buffer): Clause =>
  closing(id, what, bytes, false)

const both = (id: string): Clause['id'] => ({ 4: id, 5: id })

export const connectClauses: Clause[] = [
  refusedConnect(both('MQTT-3.1.0-1'), 'a PUBLISH before CONNECT', () =>
    Buffer.from([0x30, 4, 0, 1, 0x61, 0]),
  ),
  {
    id: both('MQTT-3.1.0-2'),
    what: 'a second CONNECT',
    async play(trial) {
      const { peer } = await trial.connect()
      peer.raw(rawConnect(trial))
      await peer.closes('a second CONNECT')
    },
  },
  refusedConnect({ 4: 'MQTT-3.1.2-1', 5: 'MQTT-3.1.2-1' }, 'a protocol name that is not MQTT', trial =>
    rawConnect(trial, { name: 'MQXX' }),
  ),
  {
    id: both('MQTT-3.1.2-2'),
    what: 'a protocol version that is not supported',
    async play(trial) {
      const peer = await trial.open()
      peer.raw(rawConnect(trial, { level: 99 }))
      await peer.closes('an unknown protocol version')
      const connack = await peer.expect('connack').catch(() => null)
      // Version 5 leaves the answer to the server.
      if (trial.version === 4) equal(connack?.returnCode ?? connack?.reasonCode, 1, 'the return code')
      else holds((connack?.reasonCode ?? connack?.returnCode ?? 0x84) > 0, 'CONNACK 0')
    },
  },
  refusedConnect(both('MQTT-3.1.2-3'), 'the reserved connect flag set', trial =>
    rawConnect(trial, { flags: 3 }),
  ),
  refusedConnect({ 4: 'MQTT-3.1.2-13', 5: 'MQTT-3.1.2-11' }, 'a will QoS without a will', trial =>
    rawConnect(trial, { flags: 2 | 0x08 }),
  ),
  refusedConnect({ 4: 'MQTT-3.1.2-14', 5: 'MQTT-3.1.2-12' }, 'a will QoS of 3', trial =>
    rawConnect(trial, {
      flags: 2 | 4 | 0x18,
      payload: Buffer.concat([
        text(trial.clientId),
        Buffer.from(trial.version === 5 ? [0] : []),
        text('w'),
        text('w'),
      ]),
    }),
  ),
  refusedConnect({ 4: 'MQTT-3.1.2-15', 5: 'MQTT-3.1.2-13' }, 'will retain without a will', trial =>
    rawConnect(trial, { flags: 2 | 0x20 }),
  ),
  refusedConnect({ 4: 'MQTT-3.1.2-22' }, 'a password without a user name', trial =>
    rawConnect(trial, { flags: 2 | 0x40, payload: Buffer.concat([text(trial.clientId), text('x')]) }),
  ),
  refusedConnect(both('MQTT-3.1.3-3'), 'a CONNECT without a client ID field', trial =>
    rawConnect(trial, { payload: Buffer.alloc(0) }),
  ),
  refusedConnect({ 4: 'MQTT-1.5.3-1', 5: 'MQTT-1.5.4-1' }, 'a client ID that is not UTF-8', trial =>
    rawConnect(trial, { payload: text(Buffer.from([0xc0, 0x80])) }),
  ),
  refusedConnect({ 4: 'MQTT-1.5.3-2', 5: 'MQTT-1.5.4-2' }, 'a client ID with U+0000', trial =>
    rawConnect(trial, { payload: text('a\0b') }),
  ),
  {
    id: { 4: 'MQTT-3.1.3-8' },
    what: 'an empty client ID without clean session gets return code 2',
    async play(trial) {
      const peer = await trial.open()
      peer.raw(rawConnect(trial, { flags: 0, payload: text('') }))
      const connack = await peer.expect('connack')
      equal(connack.returnCode, 2, 'the return code')
      await peer.closes('an empty client ID')
    },
  },
  {
    id: both('MQTT-3.2.0-1'),
    what: 'the first packet is CONNACK',
    async play(trial) {
      const { peer } = await trial.connect()
      peer.send({ cmd: 'pingreq' })
      await peer.expect('pingresp')
    },
  },
  {
    id: { 4: 'MQTT-3.1.4-2', 5: 'MQTT-3.1.4-3' },
    what: 'a second connection with the same client ID ends the first',
    async play(trial) {
      const { peer: first } = await trial.connect()
      await trial.connect()
      await first.closes('a takeover')
    },
  },
  {
    id: { 5: '§3.1.4' },
    what: 'a client whose session is taken over is told so by DISCONNECT 0x8E',
    async play(trial) {
      const { peer: first } = await trial.connect()
      await trial.connect()
      equal((await first.expect('disconnect')).reasonCode, 0x8e, 'the reason code')
    },
  },
  {
    id: { 4: 'MQTT-3.2.2-1', 5: 'MQTT-3.2.2-2' },
    what: 'a clean session has no session present',
    async play(trial) {
      const { peer } = await trial.connect({ clean: false, properties: { sessionExpiryInterval: 60 } })
      await subscribe(peer, `${trial.base}/a`, 1)
      await peer.leave()
      equal((await trial.connect()).connack.sessionPresent, false, 'session present')
    },
  },
  {
    id: { 4: 'MQTT-3.2.2-2', 5: 'MQTT-3.2.2-3' },
    what: 'session present says whether there is a stored session',
    async play(trial) {
      await (await trial.connect()).peer.leave()
      const keep = { clean: false, properties: { sessionExpiryInterval: 60 } }
      const { peer, connack } = await trial.connect(keep)
      equal(connack.sessionPresent, false, 'session present, at first')
      await subscribe(peer, `${trial.base}/a`, 1)
      await peer.leave()
      equal((await trial.connect(keep)).connack.sessionPresent, true, 'session present, on return')
    },
  },
  {
    id: { 4: 'MQTT-3.1.2-24', 5: 'MQTT-3.1.2-22' },
    what: 'a client that is silent for one and a half keep-alive intervals is disconnected',
    async play(trial) {
      const { peer, connack } = await trial.connect({ keepalive: 1 })
      const ownMs = Number(connack.properties?.['serverKeepAlive'] ?? 1) * 1_000
      // The standard gives 1.5 intervals; brokers look at their clocks every few seconds.
      await peer.closes('1.5 keep-alive intervals of silence', ownMs * 1.5 + 3 * trial.patienceMs)
    },
  },
  {
    id: both('MQTT-3.1.2-8'),
    what: 'the will is published when the connection is lost',
    async play(trial) {
      const will = {
        topic: `${trial.base}/will`,
        payload: Buffer.from('gone'),
        qos: 1 as const,
        retain: false,
      }
      const message = await afterLoss(trial, will)
      equal(message, ['gone', 1], 'the will')
    },
  },
  {
    id: { 4: 'MQTT-3.1.2-17', 5: 'MQTT-3.1.2-15' },
    what: 'a will with retain becomes a retained message',
    async play(trial) {
      const topic = `${trial.base}/will`
      const { peer } = await trial.connect({
        will: { topic, payload: Buffer.from('r'), qos: 1, retain: true },
      })
      await lose(peer)
      const { peer: later } = await trial.connect()
      await subscribe(later, topic, 1)
      const { payload, packet } = await receive(later)
      equal([payload, packet.retain], ['r', true], 'the retained will')
      await publish(later, topic, '', { qos: 1, retain: true })
    },
  },
  {
    id: { 4: 'MQTT-3.14.4-3', 5: 'MQTT-3.14.4-3' },
    what: 'the will is discarded after DISCONNECT',
    async play(trial) {
      const topic = `${trial.base}/will`
      const keep = { clean: false, properties: { sessionExpiryInterval: 60 } }
      const { peer } = await trial.connect({
        ...keep,
        will: { topic, payload: Buffer.from('w'), qos: 1, retain: false },
      })
      await subscribe(peer, topic, 1)
      await peer.leave()
      const { peer: later } = await trial.connect(keep)
      equal(
        (await receiveAll(later, trial)).map(({ payload }) => payload),
        [],
        'messages after DISCONNECT',
      )
    },
  },
  {
    id: both('MQTT-3.12.4-1'),
    what: 'PINGREQ is answered by PINGRESP',
    async play(trial) {
      const { peer } = await trial.connect()
      for (let turn = 0; turn < 2; turn++) {
        peer.send({ cmd: 'pingreq' })
        await peer.expect('pingresp')
      }
    },
  },
]

async function afterLoss(
  trial: Trial,
  will: { topic: string; payload: Buffer; qos: 1; retain: boolean },
): Promise<[string, number]> {
  const keep = { clean: false, properties: { sessionExpiryInterval: 60 } }
  const { peer } = await trial.connect({ ...keep, will })
  await subscribe(peer, will.topic, 1)
  await lose(peer)
  const { peer: later } = await trial.connect(keep)
  const { payload, packet } = await receive(later)
  return [payload, packet.qos]
}
