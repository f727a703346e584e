// Messages of 128 bytes: devices to one backend (fan-in) and the round trip of a QoS 1 publish at low load.
import { cpuDuring } from '../cpu.ts'
import type { BenchFleet } from '../fleet.ts'
import { closeLink, countPackets, openLink, publishPacket, subscribePacket } from '../link.ts'
import type { BenchServer } from '../servers.ts'

const PUBLISH = 3
const PUBACK = 4
const SUBACK = 9
const PAYLOAD = Buffer.alloc(128, 'x')
const PUBLISHERS = 50
const BURST = 20

export type FanIn = { cpuMicrosPerMessage: number; lost: number }

/** 50 devices publish QoS 0 in bursts of 20, one backend receives all: server CPU per message. */
export async function measureFanIn(server: BenchServer, fleet: BenchFleet, messages: number): Promise<FanIn> {
  const backend = await openLink(server.port, fleet.root, fleet.backends[0]!)
  await subscribe(backend, 'devices/#')
  const devices = fleet.devices.slice(0, PUBLISHERS)
  const links = await Promise.all(devices.map(device => openLink(server.port, fleet.root, device)))
  let received = 0
  let arrived = () => {}
  countPackets(backend, PUBLISH, () => {
    received += 1
    arrived()
  })
  const cpu = await cpuDuring(server.pid, async () => {
    let sent = 0
    while (sent < messages) {
      for (const [index, link] of links.entries()) {
        const packet = publishPacket(`devices/${devices[index]!.id}/telemetry`, PAYLOAD, 0)
        link.write(Buffer.concat(Array.from({ length: BURST }, () => packet)))
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
  await Promise.all([backend, ...links].map(closeLink))
  return { cpuMicrosPerMessage: cpu / messages, lost }
}

/** QoS 1 publish to PUBACK, one at a time: milliseconds, sorted. */
export async function measureRoundTrips(
  server: BenchServer,
  fleet: BenchFleet,
  rounds: number,
): Promise<number[]> {
  const device = fleet.devices[0]!
  const link = await openLink(server.port, fleet.root, device)
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
  await closeLink(link)
  return took.sort((a, b) => a - b)
}

export async function subscribe(link: Awaited<ReturnType<typeof openLink>>, filter: string): Promise<void> {
  const granted = new Promise<void>(resolve => countPackets(link, SUBACK, () => resolve()))
  link.write(subscribePacket(filter, 0))
  await granted
}
