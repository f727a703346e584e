// What a device sends while it is read no further, octet by octet, costs its octets and no object for each.
import { test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { connectPacket, type Listening } from '../../../harness/broker.ts'
import { forkBroker } from '../../../harness/fork.ts'
import { packetsOf, rawSession } from '../../../harness/raw-client.ts'
import { createRoll } from '../../../harness/roll.ts'
import { until } from '../../../harness/until.ts'
import { maskedFrame, opcodes, rawWebSocket } from '../../../harness/web-socket.ts'

const FIRST_OCTETS = 500
const OCTETS = 30_000
/** An object for each octet is 3.7 MB; collections leave up to 0.8 MB of noise. */
const BOUND = 1_792 * 1_024
const PINGREQ = Buffer.from([0xc0, 0])
const PINGS = 1_000

/** Has sent so many messages that it is not read for longer than the test takes, and sends on. */
const ways: Record<string, { piece: Buffer; connect(at: Listening, id: string): Promise<TLSSocket> }> = {
  'over TLS': {
    piece: Buffer.from([0xc0]),
    async connect(at, id) {
      const device = await rawSession(at, await roll.enroll(id), { clientId: id, keepalive: 0 })
      const packets = packetsOf(device)
      device.write(Buffer.concat(Array.from({ length: PINGS }, () => PINGREQ)))
      await until(() => packets.length > 0)
      return device
    },
  },
  'over WebSocket': {
    piece: Buffer.from([0x82, 0x81, 0, 0, 0, 0, 0xc0]),
    async connect(at, id) {
      const device = await rawWebSocket(at, await roll.enroll(id))
      device.send(opcodes.binary, connectPacket({ clientId: id, keepalive: 0 }))
      await device.frame(0)
      device.socket.write(
        maskedFrame(opcodes.binary, Buffer.concat(Array.from({ length: PINGS }, () => PINGREQ))),
      )
      await device.frame(1)
      return device.socket
    },
  },
}

const roll = await createRoll()
test.after(() => roll.close())
for (const gates of [0, 1])
  for (const [way, { piece, connect }] of Object.entries(ways))
    test(`${gates} gates, ${way}`, async t => {
      const broker = await forkBroker(roll, {
        settings: { sysIntervalMs: 0, gates, deviceMessagesPerSecond: 1, deviceMessagesBurst: 1 },
      })
      try {
        const device = await connect({ broker: broker as never, roll }, `d${gates}${way.replaceAll(' ', '')}`)
        const trickle = async (times: number) => {
          for (let sent = 0; sent < times && !device.destroyed; sent += 1)
            await new Promise(resolve => device.write(piece, resolve))
        }
        await trickle(FIRST_OCTETS)
        const start = (await broker.measure()).bytes
        await trickle(OCTETS)
        // What was sent last may still be on its way between processes; what stays is what is held.
        let held = 0
        await until(async () => {
          held = (await broker.measure()).bytes - start
          return held < BOUND
        })
        t.diagnostic(`${OCTETS} octets hold ${held} bytes`)
        device.destroy()
      } finally {
        await broker.close()
      }
    })
