// MQTT 5 on both links, against a broker that follows a script: reasons, limits, aliases, refusals, properties.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { describe, it } from 'node:test'
import { createServer, type TLSSocket } from 'node:tls'
import { generate, type IConnackPacket, type Packet } from 'mqtt-packet'
import { makeRequest } from '../../../device-sim/enrollment/identity.ts'
import { resultName } from '../../../device-sim/links/connect-result.ts'
import { openLightweightLink } from '../../../device-sim/links/lightweight.ts'
import { openLink as openMqttJsLink } from '../../../device-sim/links/mqttjs.ts'
import { type MessageProperties, noProperties } from '../../../device-sim/links/properties.ts'
import { credentialsOf, type LinkOptions } from '../../../device-sim/links/session.ts'
import { createSchedule } from '../../../device-sim/schedule.ts'
import { overTls } from '../../../device-sim/target.ts'
import { createAuthority } from '../fakes/authority.ts'
import { eachFrame } from '../fakes/frames.ts'

type Answer = Packet | Buffer

async function stage(connack: Partial<IConnackPacket>, answers: (packet: Packet) => Answer[] = () => []) {
  const authority = await createAuthority()
  const heard: Packet[] = []
  const sockets: TLSSocket[] = []
  const server = createServer(
    { key: authority.serverKey, cert: authority.serverChain, requestCert: true, rejectUnauthorized: false },
    socket => {
      sockets.push(socket)
      eachFrame(socket, packet => {
        heard.push(packet)
        const all: Answer[] =
          packet.cmd === 'connect'
            ? [{ cmd: 'connack', reasonCode: 0, sessionPresent: false, ...connack }]
            : answers(packet)
        for (const answer of all) {
          socket.write(Buffer.isBuffer(answer) ? answer : generate(answer, { protocolVersion: 5 }))
          if (!Buffer.isBuffer(answer) && answer.cmd === 'disconnect') socket.end()
        }
      })
      socket.on('error', () => {})
    },
  ).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { key, csr } = await makeRequest('d1', 'p256')
  const { pem } = await authority.issue(csr, 'd1', new Date(Date.now() + 86_400_000))
  const schedule = createSchedule()
  const { port } = server.address() as AddressInfo
  return {
    heard,
    sockets,
    attempt(link: 'lean' | 'mqttjs', more: Partial<LinkOptions> = {}) {
      const options: LinkOptions = {
        broker: { url: '', host: '127.0.0.1', port, ca: authority.rootPem, ...overTls },
        clientId: 'd1',
        credentials: credentialsOf({ key, certificates: pem }),
        timeoutMs: 30_000,
        protocol: 5,
        ...more,
      }
      return (link === 'lean' ? openLightweightLink(options, schedule) : openMqttJsLink(options)).settled
    },
    async connect(link: 'lean' | 'mqttjs', more: Partial<LinkOptions> = {}) {
      const { session, result } = await this.attempt(link, more)
      assert.ok(session, JSON.stringify(result))
      return session
    },
    [Symbol.dispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      schedule.close()
    },
  }
}

const rich: MessageProperties = {
  utf8: true,
  expirySeconds: 60,
  contentType: 'text/plain',
  responseTopic: 'answers/d1',
  correlation: Buffer.from([0, 255, 1]),
  user: [
    ['a', '1'],
    ['b', '2'],
    ['b', '3'],
  ],
}

for (const link of ['lean', 'mqttjs'] as const) {
  describe(`MQTT 5 on the ${link} link`, () => {
    it('names the reason code by which it was refused', async () => {
      using context = await stage({ reasonCode: 0x8a })
      assert.equal(resultName((await context.attempt(link)).result), 'connack_0x8A')
    })

    it('asks for its session as the scenario says', async () => {
      using context = await stage({})
      const options = { clean: false, sessionExpirySeconds: 3_600, topicAliasMax: 7, keepAliveSeconds: 30 }
      await context.connect(link, options)
      const [connect] = context.heard
      assert.ok(connect?.cmd === 'connect')
      assert.deepEqual([connect.protocolVersion, connect.clean, connect.keepalive], [5, false, 30])
      assert.deepEqual({ ...connect.properties }, { sessionExpiryInterval: 3_600, topicAliasMaximum: 7 })
    })

    it('says by which code the broker took its leave', async () => {
      using context = await stage({}, ({ cmd }) =>
        cmd === 'subscribe'
          ? [{ cmd: 'disconnect', reasonCode: 0x98, properties: { reasonString: 'bye' } }]
          : [],
      )
      const session = await context.connect(link)
      const closed = new Promise<string>(resolve => session.onClose(resolve))
      session.subscribe({ filter: 'a', qos: 0 }, () => {})
      assert.equal(await closed, 'disconnect_0x98')
    })

    it('hands on the codes of PUBACK, PUBREC and SUBACK, and sends no PUBREL for what was refused', async () => {
      using context = await stage({}, packet => {
        const { messageId } = packet
        if (messageId === undefined) return []
        if (packet.cmd === 'publish' && packet.qos === 1)
          return [{ cmd: 'puback', messageId, reasonCode: 0x10 }]
        if (packet.cmd === 'publish') {
          const reasonCode = packet.topic === 'refused' ? 0x97 : 0x10
          return [{ cmd: 'pubrec', messageId, reasonCode, properties: { reasonString: 'quota' } }]
        }
        if (packet.cmd === 'pubrel') return [{ cmd: 'pubcomp', messageId }]
        return packet.cmd === 'subscribe' ? [{ cmd: 'suback', messageId, granted: [0x87] }] : []
      })
      const session = await context.connect(link)
      const code = (topic: string, qos: 1 | 2) =>
        new Promise<number>(resolve => session.publish({ topic, payload: 'x', qos }, resolve))
      assert.deepEqual([await code('a', 1), await code('refused', 2), await code('b', 2)], [0x10, 0x97, 0x10])
      assert.equal(await new Promise(resolve => session.subscribe({ filter: '#', qos: 1 }, resolve)), 0x87)
      assert.equal(context.heard.filter(({ cmd }) => cmd === 'pubrel').length, 1)
    })

    it('sends and receives every property of a message', async () => {
      using context = await stage({}, packet => (packet.cmd === 'publish' ? [{ ...packet, qos: 0 }] : []))
      const session = await context.connect(link)
      const message = new Promise<MessageProperties | null>(resolve =>
        session.onMessage(({ properties }) => resolve(properties)),
      )
      session.publish({ topic: 't', payload: 'x', qos: 0, properties: rich }, () => {})
      const { correlation, ...others } = (await message) ?? noProperties
      const { correlation: sent, ...expected } = rich
      assert.deepEqual(others, expected)
      assert.deepEqual(Buffer.from(correlation ?? ''), sent)
    })

    it('uses an alias for a topic that comes again, and takes those of the broker', async () => {
      const properties = { topicAlias: 2 }
      const back = (topic: string): Packet => {
        return { cmd: 'publish', topic, payload: 'x', qos: 0, retain: false, dup: false, properties }
      }
      using context = await stage({ properties: { topicAliasMaximum: 5 } }, packet =>
        packet.cmd === 'subscribe' ? [back('down'), back('')] : [],
      )
      const session = await context.connect(link, { topicAliasMax: 3 })
      const topics: string[] = []
      const both = new Promise<void>(resolve =>
        session.onMessage(({ topic }) => {
          if (topics.push(topic) === 2) resolve()
        }),
      )
      for (let turn = 0; turn < 3; turn++) {
        session.publish({ topic: 'up', payload: 'x', qos: 0 }, () => {})
      }
      session.subscribe({ filter: 'down', qos: 0 }, () => {})
      await both
      assert.deepEqual(topics, ['down', 'down'])
      const sent = context.heard.filter(packet => packet.cmd === 'publish')
      assert.deepEqual(
        sent.map(({ topic, properties: own }) => [topic, own?.topicAlias]),
        [
          ['up', 1],
          ['', 1],
          ['', 1],
        ],
      )
    })

    it('asks with the options of a subscription', async () => {
      using context = await stage({}, ({ cmd, messageId }) =>
        cmd === 'subscribe' && messageId !== undefined ? [{ cmd: 'suback', messageId, granted: [1] }] : [],
      )
      const session = await context.connect(link)
      const options = { noLocal: true, retainAsPublished: true, retainHandling: 2 } as const
      await new Promise(resolve => session.subscribe({ filter: 'a/#', qos: 1, ...options }, resolve))
      const [subscribe] = context.heard.filter(packet => packet.cmd === 'subscribe')
      assert.deepEqual(
        { ...subscribe?.subscriptions[0] },
        { topic: 'a/#', qos: 1, nl: true, rap: true, rh: 2 },
      )
    })
  })
}

describe('MQTT 5 on the lean link alone', () => {
  it('heeds what CONNACK limits', async () => {
    const properties = {
      receiveMaximum: 3,
      maximumQoS: 1,
      retainAvailable: false,
      maximumPacketSize: 500,
      serverKeepAlive: 1,
    }
    using context = await stage({ properties })
    const session = await context.connect('lean', { keepAliveSeconds: 600 })
    assert.deepEqual(session.limits, { inFlightMax: 3, qosMax: 1, retain: false, packetBytesMax: 500 })
    // A PINGREQ within the broker's keep-alive, which is shorter than its own.
    while (context.heard.at(-1)?.cmd !== 'pingreq') await once(context.sockets[0] as TLSSocket, 'data')
  })

  for (const [what, bytes] of [
    ['an alias that was never given', [0x30, 7, 0, 0, 3, 0x23, 0, 1, 0x78]],
    ['an alias beyond those it takes', [0x30, 8, 0, 1, 0x61, 3, 0x23, 0, 9, 0x78]],
    ['a property twice', [0x30, 9, 0, 1, 0x61, 4, 1, 0, 1, 0, 0x78]],
    ['a property that is none', [0x30, 7, 0, 1, 0x61, 2, 0x7f, 0, 0x78]],
    ['a property list beyond its packet', [0x30, 4, 0, 1, 0x61, 9]],
    ['a SUBACK without a code', [0x90, 3, 0, 1, 0]],
  ] as const) {
    it(`breaks off at ${what}`, async () => {
      using context = await stage({}, ({ cmd }) => (cmd === 'subscribe' ? [Buffer.from(bytes)] : []))
      const session = await context.connect('lean', { topicAliasMax: 3 })
      session.onMessage(() => assert.fail('no message'))
      const closed = new Promise<string>(resolve => session.onClose(resolve))
      session.subscribe({ filter: 'a', qos: 0 }, () => {})
      assert.equal(await closed, 'malformed_packet_from_broker')
    })
  }
})
