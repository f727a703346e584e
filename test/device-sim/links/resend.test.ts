// What a kept session sends again: MQTT 3.1.1 §4.4, against a broker that withholds its acknowledgements.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { describe, it } from 'node:test'
import { createServer, type TLSSocket } from 'node:tls'
import { generate, type Packet, parser } from 'mqtt-packet'
import { makeRequest } from '../../../device-sim/enrollment/identity.ts'
import { openLightweightLink } from '../../../device-sim/links/lightweight.ts'
import { credentialsOf, nothingUnfinished } from '../../../device-sim/links/session.ts'
import { createSchedule } from '../../../device-sim/schedule.ts'
import { overTls } from '../../../device-sim/target.ts'
import { createAuthority } from '../fakes/authority.ts'

type Scene = { sessionPresent: boolean; answers: (packet: Packet) => Packet[] }

async function stage(scenes: Scene[]) {
  const authority = await createAuthority()
  const heard: Packet[][] = []
  const sockets: TLSSocket[] = []
  const server = createServer(
    { key: authority.serverKey, cert: authority.serverChain, requestCert: true, rejectUnauthorized: false },
    socket => {
      const scene = scenes[sockets.length] as Scene
      const own: Packet[] = []
      heard.push(own)
      sockets.push(socket)
      const incoming = parser({ protocolVersion: 4 })
      incoming.on('packet', (packet: Packet) => {
        if (packet.cmd === 'connect') {
          socket.write(generate({ cmd: 'connack', returnCode: 0, sessionPresent: scene.sessionPresent }))
          return
        }
        own.push(packet)
        for (const answer of scene.answers(packet)) socket.write(generate(answer))
      })
      socket.on('data', (bytes: Buffer) => incoming.parse(bytes)).on('error', () => {})
    },
  ).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { key, csr } = await makeRequest('d1', 'p256')
  const { pem } = await authority.issue(csr, 'd1', new Date(Date.now() + 86_400_000))
  const schedule = createSchedule()
  const unfinished = nothingUnfinished()
  const { port } = server.address() as AddressInfo
  return {
    heard,
    sockets,
    schedule,
    async connect() {
      const { session, result } = await openLightweightLink(
        {
          broker: { url: '', host: '127.0.0.1', port, ca: authority.rootPem, ...overTls },
          clientId: 'd1',
          credentials: credentialsOf({ key, certificates: pem }),
          timeoutMs: 30_000,
          clean: false,
          unfinished,
        },
        schedule,
      ).settled
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

const withholding = (packet: Packet): Packet[] =>
  packet.cmd === 'publish' && packet.qos === 2 && packet.messageId === 2
    ? [{ cmd: 'pubrec', messageId: 2 }]
    : []
const finishing = (packet: Packet): Packet[] => {
  const { messageId } = packet
  if (messageId === undefined) return []
  if (packet.cmd === 'publish') return [{ cmd: packet.qos === 1 ? 'puback' : 'pubrec', messageId }]
  return packet.cmd === 'pubrel' ? [{ cmd: 'pubcomp', messageId }] : []
}
const brief = (packets: Packet[] = []): string[] =>
  packets.map(one => (one.cmd === 'publish' ? `${one.dup ? 'again ' : ''}${one.payload}` : one.cmd))

describe('a session that is kept', () => {
  for (const present of [true, false]) {
    it(`${present ? 'goes on with what was unfinished, in order and marked as sent before' : 'forgets what the broker has forgotten'}`, async () => {
      const scenes = [
        { sessionPresent: false, answers: withholding },
        { sessionPresent: present, answers: finishing },
      ]
      using context = await stage(scenes)
      const acknowledged: string[] = []
      const first = await context.connect()
      for (const [payload, qos] of [
        ['a', 1],
        ['b', 2],
        ['c', 2],
        ['d', 0],
      ] as const) {
        first.publish({ topic: 't', payload, qos }, () => acknowledged.push(payload))
      }
      // The PUBREL shows that the PUBREC for b arrived.
      const deadline = Date.now() + 30_000
      while (context.heard[0]?.at(-1)?.cmd !== 'pubrel' && Date.now() < deadline) {
        await context.schedule.wait(context.schedule.now() + 2)
      }
      const closed = new Promise(resolve => first.onClose(resolve))
      context.sockets[0]?.destroy()
      await closed
      assert.deepEqual(acknowledged, ['d'])
      const second = await context.connect()
      assert.equal(second.present, present)
      await new Promise<number>(resolve => second.publish({ topic: 't', payload: 'e', qos: 2 }, resolve))
      assert.deepEqual(
        brief(context.heard[1]),
        present ? ['again a', 'pubrel', 'again c', 'e', 'pubrel', 'pubrel'] : ['e', 'pubrel'],
      )
      assert.deepEqual(acknowledged, present ? ['d', 'a', 'b', 'c'] : ['d'])
      await second.end()
    })
  }
})
