// A fleet that comes back all at once: how long until the last is in, how evenly they waited, what it cost, and what a session
// that is there already notices. By itself: node bench/scenarios/storm.ts [devices]. ROLLCALL_BROKER_GATES sets the gates.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { enrollFleet } from '../../test/harness/fleet.ts'
import { cpuMicros, processTree, residentKib } from '../cpu.ts'
import { type BenchDevice, createFleet } from '../fleet.ts'
import type { FleetOrder, FleetReport } from '../fleet-process.ts'
import { openClient } from '../mqtt-client.ts'
import { watchRoundTrips } from '../round-trips.ts'
import { type BenchServer, startServer } from '../servers.ts'

/** Milliseconds, sorted, and the server's CPU and memory for each device. */
export type Storm = {
  tookMs: number[]
  /** Devices not admitted at once: no device tries again here. */
  failed: number
  cpuMicrosPerDevice: number
  kibPerDevice: number
  /** Round trips of a QoS 1 publish by a session that is there, before the storm and during it; empty where none was held. */
  quietMs: number[]
  meanwhileMs: number[]
}

const ADDRESSES = 100
const ASK_EVERY_MS = 20
const QUIET_MS = 1_000

/** All members connect at once, held by a process of their own. */
export async function measureStorm(
  server: BenchServer,
  root: string,
  members: readonly FleetOrder['members'][number][],
  present: BenchDevice | null,
): Promise<Storm> {
  const session = present === null ? null : await watchSession(server.port, root, present)
  await pause(QUIET_MS)
  const quietMs = session?.took() ?? []
  const before = { cpu: cpuMicros(server.pid), memory: residentOf(server.pid) }
  const holding = await hold(server.port, root, members)
  const spent = cpuMicros(server.pid) - before.cpu
  const taken = residentOf(server.pid) - before.memory
  const meanwhileMs = session?.took() ?? []
  session?.stop()
  await holding.end()
  return {
    tookMs: sorted(holding.tookMs),
    failed: holding.failed,
    cpuMicrosPerDevice: spent / members.length,
    kibPerDevice: taken / members.length,
    quietMs: sorted(quietMs),
    meanwhileMs: sorted(meanwhileMs),
  }
}

async function hold(port: number, root: string, all: readonly FleetOrder['members'][number][]) {
  const scratch = mkdtempSync(join(tmpdir(), 'rollcall-bench-'))
  const file = join(scratch, 'storm.json')
  const members = all.map(({ id, certificate, key }) => ({ id, certificate, key }))
  const holding = { port, root, members, atOnce: members.length, addresses: ADDRESSES }
  writeFileSync(file, JSON.stringify(holding satisfies FleetOrder))
  const child = fork(fileURLToPath(import.meta.resolve('../fleet-process.ts')), [file])
  const gone = once(child, 'exit')
  const [told] = (await Promise.race([
    once(child, 'message'),
    gone.then(() => Promise.reject(new Error('the fleet died'))),
  ])) as [FleetReport]
  rmSync(scratch, { recursive: true })
  if (!('open' in told)) throw new Error('links closed before all were open')
  return {
    tookMs: told.tookMs,
    failed: told.failed,
    async end() {
      child.disconnect()
      await gone
    },
  }
}

/** One device that is there before the storm and publishes at QoS 1 all the while. */
async function watchSession(port: number, root: string, device: BenchDevice) {
  const link = await openClient(port, root, device)
  link.on('error', () => {})
  const asking = { id: device.id, qos: 1, everyMs: ASK_EVERY_MS, payload: Buffer.from('here') } as const
  const { took, stop } = watchRoundTrips(link, asking)
  return {
    took,
    stop() {
      stop()
      link.destroy()
    },
  }
}

function residentOf(pid: number): number {
  return processTree(pid).reduce((sum, one) => sum + residentKib(one), 0)
}

function sorted(values: number[]): number[] {
  return values.toSorted((a, b) => a - b)
}

export function quantile(sortedValues: number[], part: number): number {
  return sortedValues[Math.min(sortedValues.length - 1, Math.floor(sortedValues.length * part))] ?? Number.NaN
}

if (import.meta.main) {
  const devices = Number(process.argv[2] ?? 10_000)
  const fleet = await createFleet({ devices: 1, backends: 0 })
  try {
    const members = await enrollFleet(fleet.roll, devices)
    const server = await startServer('rollcall', fleet)
    try {
      const storm = await measureStorm(server, fleet.root, members, fleet.devices[0]!)
      const totalMs = storm.tookMs.at(-1)!
      say(
        'devices admitted',
        storm.tookMs.length,
        `not ${storm.failed}`,
        `in ${(totalMs / 1_000).toFixed(2)} s`,
      )
      say('wait for CONNACK', ...spread(storm.tookMs))
      say('round trip of a live session, quiet', ...spread(storm.quietMs))
      say('round trip of a live session meanwhile', ...spread(storm.meanwhileMs))
      say('broker', `${storm.cpuMicrosPerDevice.toFixed(0)} µs CPU per device`)
      say('broker', `${storm.kibPerDevice.toFixed(1)} KiB per device`)
    } finally {
      await server.stop()
    }
  } finally {
    await fleet.close()
  }
}

function spread(took: number[]): string[] {
  return [0.5, 0.99, 1].map(part => `p${part * 100} ${quantile(took, part).toFixed(1)} ms`)
}

function say(what: string, ...figures: (string | number)[]): void {
  process.stdout.write(`${what}: ${figures.join(', ')}\n`)
}
