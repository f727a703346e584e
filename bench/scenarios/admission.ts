// Handshake, full or resumed, + CONNECT + DISCONNECT, again and again: server CPU per admitted connection. And what one
// that stays and says nothing takes of memory.
import { setTimeout as pause } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'
import { cpuDuring, processTree, residentKib } from '../cpu.ts'
import type { BenchFleet } from '../fleet.ts'
import { type ClientOptions, closeClient, openClient } from '../mqtt-client.ts'
import type { BenchServer } from '../servers.ts'

const AT_ONCE = 16
/** What collectors give back, they give back soon. */
const SETTLE_MS = 2_000

/** TLS sessions of devices, by device; given where they are to be resumed. */
export type Sessions = Map<string, Buffer>

/** CPU of the server in µs per admission. */
export async function measureAdmission(
  server: BenchServer,
  fleet: BenchFleet,
  connects: number,
  sessions?: Sessions,
): Promise<number> {
  const cpu = await cpuDuring(server.pid, () => storm(server, fleet, connects, sessions))
  return cpu / connects
}

/** KiB that a connection takes of the server's resident memory, all processes of it together. */
export async function measureIdle(
  server: BenchServer,
  fleet: BenchFleet,
  connections: number,
): Promise<number> {
  const before = residentOf(server.pid)
  const links: TLSSocket[] = []
  for (const device of fleet.devices.slice(0, connections)) {
    links.push(await openClient(server.port, fleet.root, device))
  }
  await pause(SETTLE_MS)
  const taken = residentOf(server.pid) - before
  await Promise.all(links.map(closeClient))
  return taken / connections
}

async function storm(
  server: BenchServer,
  fleet: BenchFleet,
  connects: number,
  sessions?: Sessions,
): Promise<void> {
  let next = 0
  const worker = async () => {
    while (next < connects) {
      const device = fleet.devices[next % fleet.devices.length]!
      next += 1
      await closeClient(await openClient(server.port, fleet.root, device, resuming(device.id, sessions)))
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}

function resuming(id: string, sessions?: Sessions): ClientOptions {
  if (sessions === undefined) return {}
  return { session: sessions.get(id), onSession: session => void sessions.set(id, session) }
}

function residentOf(pid: number): number {
  return processTree(pid).reduce((sum, one) => sum + residentKib(one), 0)
}
