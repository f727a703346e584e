// Some take more than their share: strangers that connect without end, a device that does not read what it asked for. They are
// limited, only they pay, and others hardly notice.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { connect, type TLSSocket } from 'node:tls'
import { enroll, knock, stay } from '../e2e/devices.ts'
import { scratch, startSystem } from '../e2e/system.ts'
import { createAuthority } from '../harness/authority.ts'
import { connectPacket, firstBytes } from '../harness/broker.ts'
import { forkBroker } from '../harness/fork.ts'
import { packetsOf, publishPacket, publishQos1, subscribePacket } from '../harness/raw-client.ts'
import { createRoll } from '../harness/roll.ts'
import { until } from '../harness/until.ts'
import { length } from './length.ts'

const FLOOD_MS = length(1_500, 30_000)
const DEADLINE_MS = 120_000
const FLOOD_FROM = '127.0.0.3'
const AT_ONCE = 20
const MESSAGES = length(10_000, 100_000)
const PER_SECOND = 4_000
const PAYLOAD_BYTES = 2_000
const MIB = 1_048_576
/** What is the machine's: little where nothing runs beside it. */
const MACHINE_MS = length(5_000, 10)
/** What a device waits for its CONNACK beside the flood, on a machine that is busy with others too or with nothing else. */
const CONNECT_MS = length(5_000, 1_000)
/** Less than `outboundTimeoutMs`, after which such a consumer is cut anyway. */
const HELD_UP_MS = 10_000

const p99 = (values: number[]) =>
  values.toSorted((one, other) => one - other)[Math.floor(values.length * 0.99)] ?? 0

describe('a flood of handshakes with certificates of nobody', () => {
  it('is limited by address, logged in part, and keeps no device outside', async t => {
    const world = scratch()
    const env = { ROLLCALL_BROKER_ADDRESS_BURST: '1000', ROLLCALL_BROKER_ADDRESS_RATE_PER_SECOND: '500' }
    const system = await startSystem(world.at('data'), { env })
    try {
      const device = await enroll(system.api, world.path, 'd1')
      const standing = await stay(system.mqttsPort, 'd2', await enroll(system.api, world.path, 'd2'))
      const elsewhere = await createAuthority()
      const strangers = [
        await elsewhere.issue({ name: 'd1' }),
        await elsewhere.issue({ name: 'x', notAfter: new Date(Date.now() - 1_000) }),
      ]
      const began = performance.now()
      let attempts = 0
      let limited = 0
      // As long as it takes this machine to send more than the limit lets through.
      const goesOn = () =>
        performance.now() - began < FLOOD_MS || (limited === 0 && performance.now() - began < DEADLINE_MS)
      const flood = Array.from({ length: AT_ONCE }, async () => {
        while (goesOn()) {
          attempts += 1
          const { certificate: cert, key } = strangers[attempts % strangers.length]!
          await new Promise<void>(resolve => {
            const options = {
              host: '127.0.0.1',
              port: system.mqttsPort,
              rejectUnauthorized: false,
              cert,
              key,
            }
            const socket = connect({ ...options, localAddress: FLOOD_FROM } as object)
            socket.on('error', () => {})
            socket.resume()
            socket.once('close', () => resolve())
          })
        }
      })
      const waits: number[] = []
      while (goesOn()) {
        const knocked = performance.now()
        assert.equal(await knock(system.mqttsPort, 'd1', device), 'connack 0')
        waits.push(performance.now() - knocked)
        limited = await system.metric('rollcall_refusals_total{reason="address_rate_limited"}')
      }
      await Promise.all(flood)
      const seconds = (performance.now() - began) / 1_000
      assert.equal(await standing.lives(), true)
      standing.end()
      const logged = system.lines().filter(({ msg }) => msg === 'refused').length
      t.diagnostic(
        `${attempts} strangers in ${Math.round(seconds)} s, ${limited} of them turned away before the handshake, ${logged} logged; ` +
          `a device connected ${waits.length} times, p99 ${Math.round(p99(waits))} ms`,
      )
      assert.ok(limited > 0)
      assert.ok(logged <= 50 * (seconds + 2), `${logged} lines`)
      assert.ok(p99(waits) < CONNECT_MS, `p99 ${p99(waits)} ms`)
    } finally {
      await system[Symbol.asyncDispose]()
      world[Symbol.dispose]()
    }
  })
})

describe('a consumer that does not read', () => {
  it(`misses of ${MESSAGES} messages what it does not read, and others wait hardly longer`, async t => {
    const roll = await createRoll()
    const broker = await forkBroker(roll)
    const sockets: TLSSocket[] = []
    const come = async (id: string, groups: string[] = []) => {
      const { certificate, key } = await roll.enroll(id, { groups })
      const options = { host: '127.0.0.1', port: broker.port, servername: 'localhost', noDelay: true }
      const socket = connect({ ...options, ca: roll.root.certificate, cert: certificate, key })
      socket.on('error', () => {})
      sockets.push(socket)
      socket.write(connectPacket({ clientId: id, keepalive: 0 }))
      assert.equal((await firstBytes(socket))?.[3], 0)
      return socket
    }
    try {
      const publisher = await come('b1', ['backend'])
      publisher.resume()
      const other = await come('other')
      const seen = packetsOf(other)
      other.write(subscribePacket(1, ['devices/other/x'], 1))
      await until(() => seen.length === 1)

      /** Floods the consumer at an even pace; gives what messages of the same publisher to another device took meanwhile. */
      const flood = async (id: string): Promise<number[]> => {
        const waits: number[] = []
        const packet = publishPacket(`devices/${id}/flood`, Buffer.alloc(PAYLOAD_BYTES, 'x'))
        const began = performance.now()
        for (let sent = 0, number = 1; sent < MESSAGES; number += 1) {
          const due = Math.min(MESSAGES, Math.ceil(((performance.now() - began) / 1_000) * PER_SECOND))
          for (; sent < due; sent += 1) publisher.write(packet)
          const at = performance.now()
          const before = seen.length
          publisher.write(publishQos1('devices/other/x', (number % 65_535) + 1, 'x'))
          await until(() => seen.length > before, 30_000)
          waits.push(performance.now() - at)
          other.write(Buffer.concat(seen.splice(0).flatMap(acknowledgementOf)))
        }
        return waits
      }

      const reader = await come('reader')
      reader.write(subscribePacket(1, ['devices/reader/flood'], 1))
      reader.resume()
      const baseline = p99(await flood('reader'))
      const before = await broker.measure()
      const slow = await come('slow')
      slow.write(subscribePacket(1, ['devices/slow/flood'], 1))
      await until(() => slow.bytesRead > 4 + 5 - 1)
      slow.pause()
      const waits = await flood('slow')
      const meanwhile = p99(waits)
      const after = await broker.measure()
      const dropped = Number(
        /rollcall_messages_dropped_total\{queue="outbound"\} (\d+)/.exec(after.metrics)?.[1] ?? 0,
      )
      const grown = (after.bytes - before.bytes) / MIB
      t.diagnostic(
        `${dropped} of ${MESSAGES} messages dropped and counted, ${grown.toFixed(1)} MiB more; another device's p99 ` +
          `${meanwhile.toFixed(1)} ms, beside a consumer that reads ${baseline.toFixed(1)} ms`,
      )
      assert.ok(dropped > 0)
      assert.ok(Math.max(...waits) < HELD_UP_MS, `a publisher was held up for ${Math.max(...waits)} ms`)
      assert.ok(grown < 20, `${grown} MiB`)
      assert.ok(meanwhile < 2 * baseline + MACHINE_MS, `${meanwhile} of ${baseline} ms`)
      assert.equal(reader.destroyed, false)
    } finally {
      for (const socket of sockets) socket.destroy()
      await broker.close()
      await roll.close()
    }
  })
})

/** PUBACK for what is a PUBLISH of QoS 1. */
function acknowledgementOf({ kind, bytes }: { kind: number; bytes: Buffer }): Buffer[] {
  if (kind !== 3) return []
  const id = bytes.subarray(4 + bytes.readUInt16BE(2), 6 + bytes.readUInt16BE(2))
  return [Buffer.concat([Buffer.from([0x40, 2]), id])]
}
