// QoS 1 to devices that are away, then kill -9, and what the next start and the devices' return cost.
// By itself: node bench/scenarios/durable.ts [messages].
import { cpuDuring, residentKib } from '../cpu.ts'
import { type BenchDevice, type BenchFleet, createFleet } from '../fleet.ts'
import { closeClient, countPackets, openClient, publishPacket } from '../mqtt-client.ts'
import { type BenchServer, startServer } from '../servers.ts'
import { subscribe } from './messages.ts'

const PUBLISH = 3
const PUBACK = 4
const PAYLOAD = Buffer.alloc(128, 'x')
const PUBLISHERS = 4
const WINDOW = 200
/** As many as the default bounds keep for one device. */
const EACH = 1_000

export type Published = { perSecond: number; cpuMicros: number }

/** The first `away` devices subscribe and leave; then each is sent its share, acknowledged to the publishers. */
export async function measureQueueing(
  server: BenchServer,
  fleet: BenchFleet,
  away: readonly BenchDevice[],
): Promise<Published> {
  for (const device of away) {
    // From nothing, in case that it was away before.
    await closeClient(await openClient(server.port, fleet.root, device))
    const link = await openClient(server.port, fleet.root, device, { clean: false })
    await subscribe(link, `devices/${device.id}/commands`, 1)
    await closeClient(link)
  }
  const topics = away.map(({ id }) => `devices/${id}/commands`)
  return publish(server, fleet, topics)
}

/** Each topic gets its share; messages a second and CPU of the server for each, from the first PUBLISH to the last PUBACK. */
export async function publish(server: BenchServer, fleet: BenchFleet, topics: string[]): Promise<Published> {
  const backends = fleet.backends.slice(0, PUBLISHERS)
  const links = await Promise.all(backends.map(backend => openClient(server.port, fleet.root, backend)))
  const share = (topics.length * EACH) / links.length
  const began = performance.now()
  const publishShare = (link: (typeof links)[number], index: number) =>
    new Promise<void>(resolve => {
      let sent = 0
      let acknowledged = 0
      const send = (count: number) => {
        const packets: Buffer[] = []
        for (; packets.length < count && sent < share; sent += 1) {
          const topic = topics[(index + sent * links.length) % topics.length]!
          packets.push(publishPacket(topic, PAYLOAD, 1, (sent % 65_535) + 1))
        }
        if (packets.length > 0) link.write(Buffer.concat(packets))
      }
      countPackets(link, PUBACK, () => {
        acknowledged += 1
        if (acknowledged === share) resolve()
        else if (acknowledged % (WINDOW / 4) === 0) send(WINDOW / 4)
      })
      send(WINDOW)
    })
  const cpu = await cpuDuring(server.pid, async () => {
    await Promise.all(links.map(publishShare))
  })
  const total = share * links.length
  const perSecond = total / ((performance.now() - began) / 1_000)
  await Promise.all(links.map(closeClient))
  return { perSecond, cpuMicros: cpu / total }
}

/** All come back one after the other and take what waited, without acknowledging it. Milliseconds for each, sorted. */
async function comeBack(server: BenchServer, root: string, away: readonly BenchDevice[]): Promise<number[]> {
  const took: number[] = []
  for (const device of away) {
    const began = performance.now()
    const link = await openClient(server.port, root, device, { clean: false })
    await new Promise<void>(resolve => {
      let own = 0
      countPackets(link, PUBLISH, () => {
        own += 1
        if (own === EACH) resolve()
      })
    })
    took.push(performance.now() - began)
    link.on('error', () => {})
    link.destroy()
  }
  return took.sort((a, b) => a - b)
}

if (import.meta.main) {
  const messages = Number(process.argv[2] ?? 100_000)
  const fleet = await createFleet({ devices: messages / EACH + 1, backends: PUBLISHERS })
  const away = fleet.devices.slice(0, messages / EACH)
  let server = await startServer('rollcall', fleet)
  try {
    const nobody = away.map(({ id }) => `devices/${id}/nobody`)
    await publish(server, fleet, nobody.slice(0, 20)) // warm
    report('QoS 1 to nobody', await publish(server, fleet, nobody))
    const before = residentKib(server.pid)
    report('QoS 1 to devices that are away', await measureQueueing(server, fleet, away))
    const queued = `${mib(residentKib(server.pid))} MiB with ${messages} queued`
    console.log(`resident memory ${mib(before)} MiB before, ${queued}`)
    await server.stop('SIGKILL')
    const began = performance.now()
    server = await startServer('rollcall', fleet)
    await closeClient(await openClient(server.port, fleet.root, fleet.devices.at(-1)!))
    const startMs = Math.round(performance.now() - began)
    console.log(`kill -9 → first admitted device ${startMs} ms, ${mib(residentKib(server.pid))} MiB`)
    const took = await comeBack(server, fleet.root, away)
    console.log(`a device's ${EACH} messages take ${Math.round(took[took.length >> 1]!)} ms (median)`)
  } finally {
    await server.stop()
    await fleet.close()
  }
}

function report(what: string, { perSecond, cpuMicros }: Published): void {
  console.log(`${what}: ${Math.round(perSecond)} messages/s, ${cpuMicros.toFixed(1)} µs CPU each`)
}

function mib(kib: number): number {
  return Math.round(kib / 1_024)
}
