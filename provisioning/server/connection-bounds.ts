// How many connections a server has, in all and of one address, and which one a new one replaces: so that no address keeps others
// out. Does not know what they carry.
import type { Server, Socket } from 'node:net'
import { normalizeIP } from '@fastify/rate-limit'

export type ConnectionLimits = { max: number; perAddressMax: number }

export type ConnectionBounds = {
  /** A connection that no new one may replace. */
  keep(socket: Named): void
}

type Named = { remoteAddress?: string | undefined; remotePort?: number | undefined }
type Peer = { socket: Socket; address: string; name: string; kept: boolean }

export function boundConnections(server: Server, { max, perAddressMax }: ConnectionLimits): ConnectionBounds {
  /** By address, and there by port: the oldest first. */
  const peers = new Map<string, Map<string, Peer>>()
  let total = 0
  server.on('connection', (socket: Socket) => {
    const address = addressOf(socket.remoteAddress)
    const theirs = peers.get(address) ?? new Map<string, Peer>()
    const crowded = theirs.size >= perAddressMax ? [theirs] : total >= max ? [...peers.values()] : null
    if (crowded !== null) {
      const leaving = leastMissed(crowded)
      if (leaving === null) {
        socket.destroy()
        return
      }
      leave(leaving)
      leaving.socket.destroy()
    }
    const peer = { socket, address, name: nameOf(socket), kept: false }
    peers.set(address, theirs.set(peer.name, peer))
    total += 1
    socket.once('close', () => leave(peer))
  })

  function leave(peer: Peer): void {
    const theirs = peers.get(peer.address)
    if (theirs?.get(peer.name) !== peer) return
    theirs.delete(peer.name)
    total -= 1
    if (theirs.size === 0) peers.delete(peer.address)
  }

  return {
    keep(socket) {
      const peer = peers.get(addressOf(socket.remoteAddress))?.get(nameOf(socket))
      if (peer !== undefined) peer.kept = true
    },
  }
}

/** The oldest connection of the address that has most, except those of callers that may revoke. */
function leastMissed(addresses: readonly Map<string, Peer>[]): Peer | null {
  for (const peers of addresses.toSorted((a, b) => b.size - a.size)) {
    for (const peer of peers.values()) if (!peer.kept) return peer
  }
  return null
}

/** A TLS socket and the plain one below it have the same. */
function nameOf({ remoteAddress, remotePort }: Named): string {
  return `${remoteAddress} ${remotePort}`
}

/** The owner that an address stands for: a household has a /64 of IPv6. */
export function addressOf(ip: string | undefined): string {
  return normalizeIP(ip ?? '', 64)
}
