// Handshake, full or resumed, + CONNECT + DISCONNECT, again and again: server CPU per admitted connection. And what one
// that stays and says nothing takes of memory.
import { setTimeout as pause } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'
import type { Member } from '../../test/harness/fleet.ts'
import { cpuDuring, processTree, residentKib } from '../cpu.ts'
import type { BenchFleet } from '../fleet.ts'
import { type ClientOptions, closeClient, openClient } from '../mqtt-client.ts'
import type { BenchServer } from '../servers.ts'

const AT_ONCE = 16
/** What collectors give back, they give back soon. */
const SETTLE_MS = 2_000
/** Few, so that what handshakes need at once is not counted as memory of connections. */
const IDLE_AT_ONCE = 4

/** TLS sessions of devices, by device; given where they are to be resumed. */
export type Sessions = Map<string, Buffer>

/** How the devices come; `groups` as the client offers them, one that every server knows unless given. */
export type Coming = { sessions?: Sessions; groups?: string }

/** CPU of the server in µs per admission. */
export async function measureAdmission(
  server: BenchServer,
  fleet: BenchFleet,
  connects: number,
  coming: Coming = {},
): Promise<number> {
  const cpu = await cpuDuring(server.pid, () => storm(server, fleet, connects, coming))
  return cpu / connects
}

/**
 * So many admissions that nobody counts, half of them full and half resumed: a runtime compiles until some 12,000. Leaves a TLS session of each
 * device. A server without a compiler, mosquitto, needs no more than these.
 */
export async function warmUp(
  server: BenchServer,
  fleet: BenchFleet,
  sessions: Sessions,
  admissions: number,
): Promise<void> {
  if (server.name !== 'mosquitto') await storm(server, fleet, Math.round(admissions / 2), {})
  await storm(server, fleet, fleet.devices.length, { sessions })
  const resumed = Math.round(admissions / 2) - fleet.devices.length
  if (server.name !== 'mosquitto' && resumed > 0) await storm(server, fleet, resumed, { sessions })
}

/**
 * KiB that a connection takes of the resident memory of a server that nobody was connected to before, all processes of it
 * together: the slope between so many idle connections and so many. The first ones pay for what the process needs anyway.
 */
export async function measureIdle(
  server: BenchServer,
  root: string,
  members: readonly Member[],
  from: number,
): Promise<number> {
  const links: TLSSocket[] = []
  const waiting = members.values()
  const openUpTo = async (count: number) => {
    const worker = async () => {
      while (links.length < count) {
        const { value: member } = waiting.next()
        if (member === undefined) return
        links.push(await openClient(server.port, root, member))
      }
    }
    await Promise.all(Array.from({ length: IDLE_AT_ONCE }, worker))
    await pause(SETTLE_MS)
    return { connections: links.length, kib: residentOf(server.pid) }
  }
  const first = await openUpTo(from)
  const last = await openUpTo(members.length)
  await Promise.all(links.map(closeClient))
  return (last.kib - first.kib) / (last.connections - first.connections)
}

async function storm(
  server: BenchServer,
  fleet: BenchFleet,
  connects: number,
  { sessions, groups }: Coming,
): Promise<void> {
  let next = 0
  const worker = async () => {
    while (next < connects) {
      const device = fleet.devices[next % fleet.devices.length]!
      next += 1
      const options = { ...resuming(device.id, sessions), ...(groups !== undefined && { groups }) }
      await closeClient(await openClient(server.port, fleet.root, device, options))
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
