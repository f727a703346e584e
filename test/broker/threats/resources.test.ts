// What a client declares, half sends or never reads costs the broker nothing that it did not allow.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import {
  attempt,
  connectPacket,
  firstBytes,
  remainingLength,
  startTestBroker,
  type TestBroker,
} from '../../harness/broker.ts'
import { clientHello, protocols, raw, serverNames } from '../../harness/client-hello.ts'
import { type ForkedBroker, forkBroker } from '../../harness/fork.ts'
import { ended, rawSession } from '../../harness/raw-client.ts'
import { createRoll, type Roll } from '../../harness/roll.ts'

const MIB = 1_048_576

describe('threat 12: sizes', () => {
  let roll: Roll
  let broker: ForkedBroker
  let identities: Awaited<ReturnType<Roll['enroll']>>[]

  before(async () => {
    roll = await createRoll()
    identities = await Promise.all(Array.from({ length: 20 }, (_, index) => roll.enroll(`d${index}`)))
    broker = await forkBroker(roll)
  })
  after(async () => {
    await broker.close()
    await roll.close()
  })

  async function open(index: number): Promise<TLSSocket> {
    const { certificate, key } = identities[index]!
    const socket = connectTls({
      host: '127.0.0.1',
      port: broker.port,
      ca: roll.root.certificate,
      servername: 'localhost',
      cert: certificate,
      key,
    })
    socket.on('error', () => {})
    await once(socket, 'secureConnect')
    return socket
  }

  /** Has twenty connections send this, measures while they stand, and gives the growth in bytes. */
  async function growth(send: (socket: TLSSocket, index: number) => Promise<void>): Promise<number> {
    const before = await broker.measure()
    const sockets = await Promise.all(identities.map((_, index) => open(index)))
    await Promise.all(sockets.map(send))
    const after = await broker.measure()
    for (const socket of sockets) socket.destroy()
    return after.bytes - before.bytes
  }

  test('threat 12: 20 CONNECTs that declare 256 MB are refused on sight', async () => {
    const header = Buffer.concat([Buffer.from([0x10]), remainingLength(268_435_455)])
    const grown = await growth(async socket => {
      socket.write(Buffer.concat([header, connectPacket({ clientId: 'x' }).subarray(2)]))
      await ended(socket)
    })
    assert.ok(grown < 20 * MIB, `grew by ${grown} bytes`)
    assert.match((await broker.measure()).metrics, /reason="packet_too_large"\} 20/)
  })

  test('threat 12: 20 unfinished CONNECTs of 3 MB are not kept', async () => {
    const body = Buffer.alloc(3 * MIB, 0x61)
    const grown = await growth(async socket => {
      socket.write(
        Buffer.concat([
          Buffer.from([0x10]),
          remainingLength(4 * MIB),
          connectPacket({ clientId: 'x' }).subarray(2),
          body,
        ]),
      )
      await ended(socket)
    })
    assert.ok(grown < 20 * MIB, `grew by ${grown} bytes`)
  })

  test('threat 12: 20 unfinished CONNECTs within the limit cost no more than the limit', async () => {
    const grown = await growth(async socket => {
      const head = Buffer.concat([
        Buffer.from([0x10]),
        remainingLength(65_536),
        connectPacket({ clientId: 'x' }).subarray(2),
      ])
      await new Promise(resolve => socket.write(Buffer.concat([head, Buffer.alloc(65_000, 0x61)]), resolve))
    })
    assert.ok(grown < 20 * MIB, `grew by ${grown} bytes`)
  })

  test('threat 12: 20 live sessions that declare 256 MB in a PUBLISH are closed on sight', async () => {
    const grown = await growth(async (socket, index) => {
      socket.write(connectPacket({ clientId: `d${index}` }))
      await once(socket, 'data')
      socket.write(Buffer.concat([Buffer.from([0x30]), remainingLength(268_435_455), Buffer.alloc(100_000)]))
      await ended(socket)
    })
    assert.ok(grown < 20 * MIB, `grew by ${grown} bytes`)
    assert.match((await broker.measure()).metrics, /reason="packet_too_large"\} 60/)
  })
})

describe('threat 15: hostile ClientHellos', () => {
  let t: TestBroker
  before(async () => {
    t = await startTestBroker()
  })
  after(() => t.close())

  /** Sends this and waits for whatever comes of it: an alert, the rest of a handshake, or the end. */
  async function answered(hello: Buffer): Promise<void> {
    const socket = connectTcp({ host: '127.0.0.1', port: t.broker.port }, () => socket.write(hello))
    await firstBytes(socket)
    socket.destroy()
  }

  const hellos: [string, Buffer][] = [
    ['a server name with NUL', clientHello([serverNames('localhost\0.evil')])],
    ['an empty server name', clientHello([serverNames('')])],
    ['a server name of 65 kB', clientHello([serverNames('a'.repeat(16_000))])],
    ['a server name that is an object key', clientHello([serverNames('__proto__')])],
    ['a server name of control bytes', clientHello([serverNames(Buffer.from('ff00fe0d0a25s', 'hex'))])],
    ['a path as server name', clientHello([serverNames('../../keys/server.key')])],
    ['two server names', clientHello([serverNames('a', 'b')])],
    [
      'a server name list that ends early',
      clientHello([raw('serverName', Buffer.from([0, 200, 0, 0, 100, 0x61]))]),
    ],
    ['an empty server name extension', clientHello([raw('serverName', Buffer.alloc(0))])],
    ['unknown protocols', clientHello([protocols('h2', 'spdy/1', 'x-amzn-mqtt-ca')])],
    ['an empty protocol', clientHello([protocols('')])],
    ['200 protocols', clientHello([protocols(...Array.from({ length: 200 }, (_, i) => `p${i}`))])],
    ['a protocol named __proto__', clientHello([protocols('__proto__', 'mqtt')])],
    ['a protocol list that ends early', clientHello([raw('alpn', Buffer.from([0, 99, 50, 0x61]))])],
    ['the same extension twice', clientHello([serverNames('a'), serverNames('b')])],
  ]

  for (const [what, hello] of hellos) {
    test(`threat 15: ${what} ends neither the process nor anybody's session`, async () => {
      const identity = await t.roll.enroll(`d-${hellos.findIndex(([other]) => other === what)}`)
      const id = `d-${hellos.findIndex(([other]) => other === what)}`
      const standing = await rawSession(t, identity, { clientId: id })
      await answered(hello)
      assert.equal(standing.destroyed, false)
      standing.destroy()
      assert.equal(await attempt(t, { identity, connect: { clientId: id } }), 'connack 0')
    })
  }

  test('threat 15: a well-formed hello with any name and protocol is served all the same', async () => {
    const identity = await t.roll.enroll('d1')
    const tls = {
      ALPNProtocols: ['mqtt', 'h2'],
      checkServerIdentity: () => undefined,
      servername: 'elsewhere.example',
    }
    assert.equal(await attempt(t, { identity, connect: { clientId: 'd1' }, tls }), 'connack 0')
  })
})
