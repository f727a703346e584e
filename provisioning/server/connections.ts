// The connections of the API server: how many there may be, and which one a new one replaces, so that no client keeps out
// a revocation. Closing the server neither cuts an answer short nor waits for a silent client.

import type { Server } from 'node:https'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { trackAnswers } from './answers-in-flight.ts'
import { boundConnections, type ConnectionBounds, type ConnectionLimits } from './connection-bounds.ts'

export type Connections = {
  /** A connection of a caller that may revoke: no new one replaces it. */
  keep: ConnectionBounds['keep']
  /** Waits for answers that are on their way, at most 5 s, then ends every connection. */
  drain(): Promise<void>
}

const ANSWERS_TIMEOUT_MS = 5_000
const FLUSH_TIMEOUT_MS = 200

export const CONNECTIONS_MAX = 2_000
/** Half of all, so that no one address keeps everybody else out; a fleet behind one address has room. */
const CONNECTIONS_PER_ADDRESS_MAX = 1_000
const standard: ConnectionLimits = { max: CONNECTIONS_MAX, perAddressMax: CONNECTIONS_PER_ADDRESS_MAX }

export function trackConnections(server: Server, limits = standard): Connections {
  const bounds = boundConnections(server, limits)
  // What a client opened, before and after the TLS handshake: both keep a server from closing.
  const plain = new Set<Socket>()
  const secure = new Set<TLSSocket>()
  const answers = trackAnswers(server)
  server.on('connection', (socket: Socket) => remember(plain, socket))
  server.on('secureConnection', (socket: TLSSocket) => remember(secure, socket))

  return {
    keep: bounds.keep,

    async drain() {
      await answers.sent(ANSWERS_TIMEOUT_MS)
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

function remember<T extends Socket>(set: Set<T>, socket: T): void {
  set.add(socket)
  socket.once('close', () => set.delete(socket))
}
