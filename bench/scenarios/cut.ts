// Revoke to closed socket, with a thousand sessions live: from the answered commit to the close the device sees.
import type { BenchFleet } from '../fleet.ts'
import { openClient } from '../mqtt-client.ts'
import type { BenchServer } from '../servers.ts'

/** Milliseconds from the start of the revocation to the closed socket, sorted. */
export async function measureCuts(
  server: BenchServer,
  fleet: BenchFleet,
  sessions: number,
  revocations: number,
): Promise<number[]> {
  const devices = fleet.devices.slice(0, sessions)
  const links = await openAll(server, fleet, devices)
  const took: number[] = []
  for (const [index, device] of devices.slice(0, revocations).entries()) {
    const link = links[index]!
    const closed = new Promise<void>(resolve => link.once('close', () => resolve()))
    const begin = performance.now()
    await fleet.roll.writer.revokeCertificate(device.fingerprint, 'keyCompromise', {
      name: 'bench',
      kind: 'local' as const,
    })
    await closed
    took.push(performance.now() - begin)
  }
  for (const link of links) link.destroy()
  return took.sort((a, b) => a - b)
}

async function openAll(server: BenchServer, fleet: BenchFleet, devices: BenchFleet['devices']) {
  const links: Awaited<ReturnType<typeof openClient>>[] = []
  for (let index = 0; index < devices.length; index += 50) {
    const group = devices.slice(index, index + 50).map(device => openClient(server.port, fleet.root, device))
    links.push(...(await Promise.all(group)))
  }
  for (const link of links) {
    link.on('error', () => {})
    link.resume()
  }
  return links
}
