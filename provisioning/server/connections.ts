// The connections of the API server: how many there may be and who makes room for a newcomer, so that nobody keeps out whoever
// comes to revoke; and that closing the server neither cuts an answer short nor waits for who says nothing.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Server } from 'node:https'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { normalizeIP } from '@fastify/rate-limit'

export type Connections = {
  /** The connection of somebody who may revoke: it makes room for nobody. */
  keep(socket: { remoteAddress?: string | undefined; remotePort?: number | undefined }): void
  /** Waits for answers that are on their way, at most 5 s, then ends every connection. */
  drain(): Promise<void>
}

const ANSWERS_TIMEOUT_MS = 5_000
const FLUSH_TIMEOUT_MS = 200

export const CONNECTIONS_MAX = 2_000
/** Half of all, so that no one address keeps everybody else out; a fleet behind one address has room. */
export const CONNECTIONS_PER_ADDRESS_MAX = 1_000
export type ConnectionLimits = { max: number; perAddressMax: number }

const limits: ConnectionLimits = { max: CONNECTIONS_MAX, perAddressMax: CONNECTIONS_PER_ADDRESS_MAX }

export function trackConnections(server: Server, { max, perAddressMax } = limits): Connections {
  /** By address, and there by port: the oldest first. */
  const peers = new Map<string, Map<string, Peer>>()
  let total = 0
  // What a client opened, before and after the TLS handshake: both keep a server from closing.
  const plain = new Set<Socket>()
  const secure = new Set<TLSSocket>()
  let answersPending = 0
  let answered: (() => void) | null = null
  server.on('connection', (socket: Socket) => {
    const address = addressOf(socket.remoteAddress ?? '')
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
    remember(plain, socket)
  })
  server.on('secureConnection', (socket: TLSSocket) => remember(secure, socket))

  function leave(peer: Peer): void {
    const theirs = peers.get(peer.address)
    if (theirs?.get(peer.name) !== peer) return
    theirs.delete(peer.name)
    total -= 1
    if (theirs.size === 0) peers.delete(peer.address)
  }

  server.on('request', (_: IncomingMessage, response: ServerResponse) => {
    answersPending += 1
    response.once('close', () => {
      answersPending -= 1
      if (answersPending === 0) answered?.()
    })
  })

  return {
    keep(socket) {
      const peer = peers.get(addressOf(socket.remoteAddress ?? ''))?.get(nameOf(socket))
      if (peer !== undefined) peer.kept = true
    },

    async drain() {
      if (answersPending > 0)
        await new Promise<void>(resolve => {
          answered = resolve
          setTimeout(resolve, ANSWERS_TIMEOUT_MS).unref()
        })
      for (const socket of secure) socket.destroySoon()
      if (plain.size === 0) return
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, FLUSH_TIMEOUT_MS)
        for (const socket of plain)
          socket.once('close', () => {
            if (plain.size > 0) return
            clearTimeout(timer)
            resolve()
          })
      })
      for (const socket of plain) socket.destroy()
    },
  }
}

type Peer = { socket: Socket; address: string; name: string; kept: boolean }

/** The oldest of the address that has most, but of those who may revoke. */
function leastMissed(addresses: readonly Map<string, Peer>[]): Peer | null {
  for (const peers of addresses.toSorted((a, b) => b.size - a.size)) {
    for (const peer of peers.values()) if (!peer.kept) return peer
  }
  return null
}

/** A TLS socket and the plain one below it have the same. */
function nameOf({ remoteAddress, remotePort }: Parameters<Connections['keep']>[0]): string {
  return `${remoteAddress} ${remotePort}`
}

/** Whom an address stands for: of IPv6 a household has a /64. */
export function addressOf(ip: string): string {
  return normalizeIP(ip, 64)
}

function remember<T extends Socket>(set: Set<T>, socket: T): void {
  set.add(socket)
  socket.once('close', () => set.delete(socket))
}
