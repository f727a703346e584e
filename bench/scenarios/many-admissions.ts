// Whether a broker's memory stays flat over admissions by the hundred thousand: full handshake, CONNECT and DISCONNECT of the same devices again
// and again. By hand: node bench/scenarios/many-admissions.ts [admissions] [rollcall, bun or mosquitto]. Ends with 1 where it grew.
import { loadavg } from 'node:os'
import { cpuMicros, peakResidentKib, residentKib } from '../cpu.ts'
import { createFleet } from '../fleet.ts'
import { closeClient, openClient } from '../mqtt-client.ts'
import { type ServerName, startServer } from '../servers.ts'

const [admissions, server] = [Number(process.argv[2] ?? 1_000_000), (process.argv[3] ?? 'bun') as ServerName]
const [DEVICES, AT_ONCE, FIRST, STEPS] = [400, 16, 20_000, 20]
/** Of the most memory it had after the first ones. */
const GROWTH_MAX = 1.15

const fleet = await createFleet({ devices: DEVICES, backends: 0 })
const broker = await startServer(server, fleet)
try {
  let done = 0
  const upTo = (count: number) =>
    Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        while (done < count) {
          const device = fleet.devices[done++ % DEVICES]!
          await closeClient(await openClient(broker.port, fleet.root, device))
        }
      }),
    )
  await upTo(FIRST)
  const first = peakResidentKib(broker.pid)
  report()
  for (let step = 1; step <= STEPS; step += 1) {
    await upTo(FIRST + Math.round(((admissions - FIRST) * step) / STEPS))
    report()
  }
  const growth = peakResidentKib(broker.pid) / first
  console.log(
    `${server}: the most memory is ${growth.toFixed(2)} × what it was after ${FIRST} (at most ${GROWTH_MAX})`,
  )
  process.exitCode = growth <= GROWTH_MAX ? 0 : 1

  function report(): void {
    const mib = (kib: number) => `${Math.round(kib / 1024)} MiB`
    const cpu = Math.round(cpuMicros(broker.pid) / done)
    console.log(
      `${done} admissions: resident ${mib(residentKib(broker.pid))}, at most ${mib(peakResidentKib(broker.pid))}, ${cpu} µs of CPU each; load ${loadavg()[0]?.toFixed(1)}`,
    )
  }
} finally {
  await broker.stop()
  await fleet.close()
}
