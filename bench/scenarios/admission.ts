// Full handshake + CONNECT + DISCONNECT, again and again: server CPU per admitted connection.
import { cpuDuring } from '../cpu.ts'
import type { BenchFleet } from '../fleet.ts'
import { closeLink, openLink } from '../link.ts'
import type { BenchServer } from '../servers.ts'

const AT_ONCE = 16

/** CPU of the server in µs per admission. */
export async function measureAdmission(
  server: BenchServer,
  fleet: BenchFleet,
  connects: number,
): Promise<number> {
  const cpu = await cpuDuring(server.pid, () => storm(server, fleet, connects))
  return cpu / connects
}

async function storm(server: BenchServer, fleet: BenchFleet, connects: number): Promise<void> {
  let next = 0
  const worker = async () => {
    while (next < connects) {
      const device = fleet.devices[next % fleet.devices.length]!
      next += 1
      await closeLink(await openLink(server.port, fleet.root, device))
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}
