// Messages of 128 bytes: devices to one backend (fan-in), one backend to many devices (fan-out), and the round trip of a
// QoS 1 publish at low load.
import { cpuDuring } from '../cpu.ts'
import type { BenchDevice, BenchFleet } from '../fleet.ts'
import {
  closeClient,
  countPackets,
  type Level,
  openClient,
  pubackFor,
  publishPacket,
  subscribePacket,
} from '../mqtt-client.ts'
import type { BenchServer } from '../servers.ts'

const PUBLISH = 3
const PUBACK = 4
const SUBACK = 9
const PAYLOAD = Buffer.alloc(128, 'x')
const PUBLISHERS = 50
const BURST = 20
export const LISTENERS = 200

export type FanIn = { cpuMicrosPerMessage: number; lost: number }

/** 50 devices publish in bursts of 20, one backend receives all at the same QoS: server CPU per message. */
export async function measureFanIn(
  server: BenchServer,
  fleet: BenchFleet,
  messages: number,
  qos: 0 | 1 = 0,
  level: Level = 4,
): Promise<FanIn> {
  const open = (device: BenchDevice) => openClient(server.port, fleet.root, device, { level })
  const backend = await open(fleet.backends[0]!)
  await subscribe(backend, 'devices/#', qos, level)
  const devices = fleet.devices.slice(0, PUBLISHERS)
  const links = await Promise.all(devices.map(open))
  let received = 0
  let arrived = () => {}
  countPackets(backend, PUBLISH, publish => {
    received += 1
    if (qos === 1) backend.write(pubackFor(publish))
    arrived()
  })
  const cpu = await cpuDuring(server.pid, async () => {
    let sent = 0
    while (sent < messages) {
      for (const [index, link] of links.entries()) {
        const topic = `devices/${devices[index]!.id}/telemetry`
        link.write(
          Buffer.concat(
            Array.from({ length: BURST }, (_, one) => publishPacket(topic, PAYLOAD, qos, one + 1, level)),
          ),
        )
        sent += BURST
      }
      // The next round goes out when this one has arrived: bursts, but no queue without end.
      await new Promise<void>(resolve => {
        const deadline = setTimeout(resolve, 2_000)
        arrived = () => {
          if (received < sent) return
          clearTimeout(deadline)
          resolve()
        }
        arrived()
      })
    }
  })
  const lost = Math.max(0, messages - received)
  await Promise.all([backend, ...links].map(closeClient))
  return { cpuMicrosPerMessage: cpu / messages, lost }
}

/** One backend publishes QoS 0 to 200 devices: server CPU per delivery. */
export async function measureFanOut(
  server: BenchServer,
  fleet: BenchFleet,
  messages: number,
  level: Level = 4,
): Promise<FanIn> {
  const open = (device: BenchDevice) => openClient(server.port, fleet.root, device, { level })
  const backend = await open(fleet.backends[0]!)
  const listeners = fleet.backends.slice(1, 1 + LISTENERS)
  const links = await Promise.all(listeners.map(open))
  await Promise.all(links.map(link => subscribe(link, 'devices/all/command', 0, level)))
  let received = 0
  let arrived = () => {}
  for (const link of links) {
    countPackets(link, PUBLISH, () => {
      received += 1
      arrived()
    })
  }
  const packet = publishPacket('devices/all/command', PAYLOAD, 0, 1, level)
  const cpu = await cpuDuring(server.pid, async () => {
    for (let sent = 0; sent < messages; sent += BURST) {
      backend.write(Buffer.concat(Array.from({ length: BURST }, () => packet)))
      const due = (sent + BURST) * links.length
      await new Promise<void>(resolve => {
        const deadline = setTimeout(resolve, 2_000)
        arrived = () => {
          if (received < due) return
          clearTimeout(deadline)
          resolve()
        }
        arrived()
      })
    }
  })
  const deliveries = messages * links.length
  await Promise.all([backend, ...links].map(closeClient))
  return { cpuMicrosPerMessage: cpu / deliveries, lost: Math.max(0, deliveries - received) }
}

/** QoS 1 publish to PUBACK, one at a time: milliseconds, sorted. */
export async function measureRoundTrips(
  server: BenchServer,
  fleet: BenchFleet,
  rounds: number,
): Promise<number[]> {
  const device = fleet.devices[0]!
  const link = await openClient(server.port, fleet.root, device)
  let acknowledged = () => {}
  countPackets(link, PUBACK, () => acknowledged())
  const packet = publishPacket(`devices/${device.id}/telemetry`, PAYLOAD, 1)
  const took: number[] = []
  for (let round = 0; round < rounds; round += 1) {
    const begin = performance.now()
    const answer = new Promise<void>(resolve => {
      acknowledged = resolve
    })
    link.write(packet)
    await answer
    took.push(performance.now() - begin)
  }
  await closeClient(link)
  return took.sort((a, b) => a - b)
}

export async function subscribe(
  link: Awaited<ReturnType<typeof openClient>>,
  filter: string,
  qos: 0 | 1,
  level: Level = 4,
): Promise<void> {
  const granted = new Promise<void>(resolve => countPackets(link, SUBACK, () => resolve()))
  link.write(subscribePacket(filter, qos, level))
  await granted
}
