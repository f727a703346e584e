// node bench/scenarios/durable.ts [messages]: QoS 1 to devices that are away, kept on disk before PUBACK; then kill -9, and what
// the next start and the devices' return cost.
import { cpuDuring, residentKib } from '../cpu.ts'
import { createFleet } from '../fleet.ts'
import { closeLink, countPackets, openLink, publishPacket } from '../link.ts'
import { startServer } from '../servers.ts'
import { subscribe } from './messages.ts'

const PUBLISH = 3
const PUBACK = 4
const PAYLOAD = Buffer.alloc(128, 'x')
const PUBLISHERS = 4
const WINDOW = 200
/** As many as the default bounds keep for one device. */
const EACH = 1_000

const messages = Number(process.argv[2] ?? 100_000)
const awayTotal = messages / EACH
const fleet = await createFleet({ devices: awayTotal + 1, backends: PUBLISHERS })
let server = await startServer('rollcall', fleet)
try {
  const here = fleet.devices.slice(0, awayTotal).map(({ id }) => `devices/${id}/nobody`)
  await publish(here.slice(0, 20)) // warm
  report('QoS 1 to nobody', await publish(here))
  const before = residentKib(server.pid)
  for (const device of fleet.devices.slice(0, awayTotal)) {
    const link = await openLink(server.port, fleet.root, device, { clean: false })
    await subscribe(link, `devices/${device.id}/commands`, 1)
    await closeLink(link)
  }
  report(
    'QoS 1 to devices that are away',
    await publish(fleet.devices.slice(0, awayTotal).map(({ id }) => `devices/${id}/commands`)),
  )
  console.log(
    `resident memory ${mib(before)} MiB before, ${mib(residentKib(server.pid))} MiB with ${messages} queued`,
  )
  await server.stop('SIGKILL')
  const began = performance.now()
  server = await startServer('rollcall', fleet)
  await closeLink(await openLink(server.port, fleet.root, fleet.devices.at(-1)!))
  console.log(
    `kill -9 → first admitted device ${Math.round(performance.now() - began)} ms, ${mib(residentKib(server.pid))} MiB`,
  )
  await comeBack()
} finally {
  await server.stop()
  await fleet.close()
}

/** Each topic gets its share; gives messages a second and CPU of the server for each, from the first PUBLISH to the last PUBACK. */
async function publish(topics: string[]): Promise<{ perSecond: number; cpuMicros: number }> {
  const links = await Promise.all(fleet.backends.map(backend => openLink(server.port, fleet.root, backend)))
  const share = (topics.length * EACH) / links.length
  const began = performance.now()
  const cpu = await cpuDuring(server.pid, async () => {
    await Promise.all(
      links.map(
        (link, index) =>
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
          }),
      ),
    )
  })
  const total = share * links.length
  const perSecond = total / ((performance.now() - began) / 1_000)
  await Promise.all(links.map(closeLink))
  return { perSecond, cpuMicros: cpu / total }
}

/** All come back one after the other and take what waited, without acknowledging it. */
async function comeBack(): Promise<void> {
  let received = 0
  const took: number[] = []
  for (const device of fleet.devices.slice(0, awayTotal)) {
    const began = performance.now()
    const link = await openLink(server.port, fleet.root, device, { clean: false })
    await new Promise<void>(resolve => {
      let own = 0
      countPackets(link, PUBLISH, () => {
        received += 1
        own += 1
        if (own === EACH) resolve()
      })
    })
    took.push(performance.now() - began)
    link.on('error', () => {})
    link.destroy()
  }
  took.sort((a, b) => a - b)
  console.log(
    `${received} of ${messages} arrive; a device's ${EACH} take ${Math.round(took[took.length >> 1]!)} ms (median)`,
  )
}

function report(what: string, { perSecond, cpuMicros }: Awaited<ReturnType<typeof publish>>): void {
  console.log(`${what}: ${Math.round(perSecond)} messages/s, ${cpuMicros.toFixed(1)} µs CPU each`)
}

function mib(kib: number): number {
  return Math.round(kib / 1_024)
}
