// A packet that arrives octet by octet, each in a TLS record or a WebSocket frame of its own, costs no more memory than its octets:
// what is kept for an octet beside it is bounded.
import assert from 'node:assert/strict'
import { after, before, type TestContext, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { connectPacket, type Listening, remainingLength } from '../../../harness/broker.ts'
import { type ForkedBroker, forkBroker } from '../../../harness/fork.ts'
import { publishPacket, rawSession } from '../../../harness/raw-client.ts'
import { createRoll, type Roll } from '../../../harness/roll.ts'
import { maskedFrame, opcodes, rawWebSocket } from '../../../harness/web-socket.ts'

const FIRST_OCTETS = 500
const OCTETS = 15_000
const DECLARED_BYTES = 200_000
const BOUND = 1_024 * 1_024

let roll: Roll
let broker: ForkedBroker
let at: Listening
before(async () => {
  roll = await createRoll()
  broker = await forkBroker(roll, { settings: { sysIntervalMs: 0, connectTimeoutMs: 60_000 } })
  at = { broker: broker as never, roll }
})
after(async () => {
  await broker.close()
  await roll.close()
})

/** Sends every octet in a record of its own: what is written while a write is under way would share one. */
async function trickle(socket: TLSSocket, piece: Buffer, times: number): Promise<void> {
  for (let sent = 0; sent < times && !socket.destroyed; sent += 1)
    await new Promise(resolve => socket.write(piece, resolve))
}

/** A PUBLISH that is never whole, from its first octet on. */
const begun = Buffer.concat([
  Buffer.from([0x30]),
  remainingLength(DECLARED_BYTES),
  publishPacket('devices/d1/x', '').subarray(2),
])

/** What these octets hold beyond those that came first; a connection that was refused holds nothing more. */
async function assertCheap(t: TestContext, socket: TLSSocket, piece: Buffer): Promise<void> {
  await trickle(socket, piece, FIRST_OCTETS)
  const start = (await broker.measure()).bytes
  await trickle(socket, piece, OCTETS)
  const grown = (await broker.measure()).bytes - start
  const note = `${OCTETS} octets hold ${grown} bytes, ${socket.destroyed ? 'and were refused' : 'all taken'}`
  t.diagnostic(note)
  assert.ok(grown < BOUND, note)
  socket.destroy()
}

test('over TLS', async t => {
  const device = await rawSession(at, await roll.enroll('d1'), { clientId: 'd1', keepalive: 0 })
  device.write(begun)
  await assertCheap(t, device, Buffer.from('x'))
})

const ways = {
  'in one frame': {
    header: Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0, 3, 0x0d, 0x40, 0, 0, 0, 0]),
    piece: Buffer.from('x'),
  },
  'in a frame each, of one message': {
    header: Buffer.from([0x02, 0x80, 0, 0, 0, 0]),
    piece: Buffer.from([0x00, 0x81, 0, 0, 0, 0, 0x78]),
  },
  'in a message each': {
    header: Buffer.alloc(0),
    piece: Buffer.from([0x82, 0x81, 0, 0, 0, 0, 0x78]),
  },
}
for (const [index, [way, { header, piece }]] of Object.entries(ways).entries())
  test(`over WebSocket, ${way}`, async t => {
    const id = `w${index}`
    const device = await rawWebSocket(at, await roll.enroll(id))
    device.send(opcodes.binary, connectPacket({ clientId: id, keepalive: 0 }))
    await device.frame(0)
    device.socket.write(Buffer.concat([maskedFrame(opcodes.binary, begun), header]))
    await assertCheap(t, device.socket, piece)
  })
