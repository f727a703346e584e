// Malformed and misplaced packets, one after the other, from a device that is on the roll: the process lives, others notice nothing,
// and memory stays flat. The same again: ROLLCALL_FAULT_SEED.
import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { connect, type TLSSocket } from 'node:tls'
import { createRandom } from '../../device-sim/random.ts'
import { connectPacket, field, firstBytes, remainingLength } from '../harness/broker.ts'
import { type ForkedBroker, forkBroker } from '../harness/fork.ts'
import {
  acknowledgement,
  publishPacket,
  publishQos1,
  publishQos2,
  subscribePacket,
} from '../harness/raw-client.ts'
import { createRoll, type Roll } from '../harness/roll.ts'
import { length } from './length.ts'

const DURATION_MS = length(2_000, 30 * 60_000)
/** At least so many connections before memory is measured: what a broker only makes once is made by then, on a slow machine too. */
const VISITS = 200
const AT_ONCE = 8
const DEVICES = 32
/** How long a connection that the broker does not close is kept. */
const PATIENCE_MS = 60
const seed = Number(process.env['ROLLCALL_FAULT_SEED'] ?? randomInt(2 ** 31))

describe('malformed packets', () => {
  let random = createRandom(seed)
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!
  const below = (limit: number) => Math.floor(random() * limit)
  const noise = (bytes: number) => Buffer.from(Array.from({ length: bytes }, () => below(256)))
  let roll: Roll
  let broker: ForkedBroker
  const devices: { id: string; certificate: string; key: string }[] = []

  before(async () => {
    roll = await createRoll()
    for (let index = 0; index < DEVICES; index += 1) {
      const id = `d${index}`
      devices.push({ id, ...(await roll.enroll(id)) })
    }
    broker = await forkBroker(roll, {
      settings: { addressRatePerSecond: 1_000_000, addressBurst: 1_000_000 },
    })
  })
  after(async () => {
    await broker.close()
    await roll.close()
  })

  function open({ certificate, key }: { certificate: string; key: string }): Promise<TLSSocket> {
    return new Promise((resolve, reject) => {
      const options = {
        host: '127.0.0.1',
        port: broker.port,
        ca: roll.root.certificate,
        servername: 'localhost',
      }
      const socket = connect({ ...options, cert: certificate, key })
      socket.once('secureConnect', () => resolve(socket))
      socket.once('error', reject)
    })
  }

  /** A packet that would do, in a place where it may not belong. */
  function wellFormed(id: string): Buffer {
    const topic = pick([`devices/${id}/x`, `devices/${id}/a/b`, '$SYS/x', '', '#', '+/+', 'devices/\0'])
    return pick([
      () => connectPacket({ clientId: id, clean: random() < 0.5 }),
      () => publishPacket(topic, noise(below(200)), random() < 0.2),
      () => publishQos1(topic, below(65_536), 'x'),
      () => publishQos2(topic, below(65_536)),
      () =>
        subscribePacket(
          below(65_536),
          [topic, pick([topic, `${topic}/#`, '$share/g/x', '$share//'])],
          below(4),
        ),
      () => acknowledgement(pick([4, 5, 6, 7] as const), below(65_536)),
      () => Buffer.from([pick([0xa2, 0xc0, 0xd0, 0xe0]), 0]),
    ])()
  }

  /** One that would not: bits turned over, cut short, of another length, of no kind there is. */
  function malformed(id: string): Buffer {
    const packet = Buffer.from(wellFormed(id))
    return pick([
      () => {
        packet[below(packet.length)]! ^= 1 << below(8)
        return packet
      },
      () => packet.subarray(0, 1 + below(packet.length)),
      () => Buffer.concat([packet.subarray(0, 1), remainingLength(below(300)), packet.subarray(2)]),
      () => Buffer.concat([Buffer.from([below(256)]), remainingLength(below(2 ** 28)), noise(below(64))]),
      () => Buffer.concat([Buffer.from([below(256), 0xff, 0xff, 0xff, 0xff]), noise(below(64))]),
      () => Buffer.concat([Buffer.from([0x82]), remainingLength(9), field('a'), noise(6)]),
      () => Buffer.from([below(256), 0]),
      () => noise(1 + below(400)),
    ])()
  }

  /** What one connection sends: the same for the same seed and number. */
  function script(number: number, id: string): Buffer[] {
    random = createRandom(seed + number)
    const will = random() < 0.3 ? { will: { topic: `devices/${id}/will`, payload: 'x', qos: below(3) } } : {}
    const begins = random() < 0.8 ? [connectPacket({ clientId: id, clean: random() < 0.5, ...will })] : []
    const rest = Array.from({ length: 1 + below(12) }, () =>
      random() < 0.4 ? malformed(id) : wellFormed(id),
    )
    return [...begins, ...rest]
  }

  async function visit(number: number, device: (typeof devices)[number]): Promise<void> {
    const socket = await open(device)
    socket.on('error', () => {})
    socket.resume()
    const closed = new Promise<void>(resolve => socket.once('close', () => resolve()))
    for (const packet of script(number, device.id)) if (socket.writable) socket.write(packet)
    const patience = setTimeout(() => socket.destroy(), PATIENCE_MS)
    await closed
    clearTimeout(patience)
  }

  it(`for ${DURATION_MS / 1_000} s end no process and nobody else's session, and leave memory flat`, async t => {
    t.diagnostic(`ROLLCALL_FAULT_SEED=${seed} sends the same packets`)
    const other = await roll.enroll('other')
    const standing = await open(other)
    standing.write(connectPacket({ clientId: 'other', keepalive: 0 }))
    assert.equal((await firstBytes(standing))?.[3], 0)
    let visits = 0
    async function play(forMs: number): Promise<void> {
      const end = performance.now() + forMs
      const goal = visits + VISITS
      const players = devices.slice(0, AT_ONCE).map(async (_, player) => {
        for (let turn = 0; performance.now() < end || visits < goal; turn += 1) {
          visits += 1
          await visit(visits, devices[(turn * AT_ONCE + player) % DEVICES]!)
        }
      })
      await Promise.all(players)
    }
    await play(DURATION_MS * 0.4)
    const warm = await broker.measure()
    await play(DURATION_MS * 0.6)
    const { bytes } = await broker.measure()
    assert.ok(broker.alive())
    const pong = firstBytes(standing)
    standing.write(Buffer.from([0xc0, 0]))
    assert.deepEqual(await pong, Buffer.from([0xd0, 0]), 'a client beside it stays connected')
    standing.destroy()
    const growth = bytes / warm.bytes - 1
    t.diagnostic(
      `${visits} connections, heap ${(growth * 100).toFixed(1)} % of ${Math.round(warm.bytes / 1e6)} MB more`,
    )
    assert.ok(growth < 0.1, `heap grew from ${warm.bytes} to ${bytes}`)
  })
})
