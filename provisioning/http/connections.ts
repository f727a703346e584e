// The connections of the API server, so that closing it neither cuts an answer short nor waits for who says nothing.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Server } from 'node:https'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { normalizeIP } from '@fastify/rate-limit'

export type Connections = {
  /** Waits for answers that are on their way, at most 5 s, then ends every connection. */
  drain(): Promise<void>
}

const ANSWERS_TIMEOUT_MS = 5_000
const FLUSH_TIMEOUT_MS = 200

/** Half of all, so that no one address keeps everybody else out; a fleet behind one address has room. */
export const CONNECTIONS_PER_ADDRESS_MAX = 1_000

export function trackConnections(server: Server, perAddressMax = CONNECTIONS_PER_ADDRESS_MAX): Connections {
  const perAddress = new Map<string, number>()
  // What a client opened, before and after the TLS handshake: both keep a server from closing.
  const plain = new Set<Socket>()
  const secure = new Set<TLSSocket>()
  let answersPending = 0
  let answered: (() => void) | null = null
  server.on('connection', (socket: Socket) => {
    const address = addressOf(socket.remoteAddress ?? '')
    const count = (perAddress.get(address) ?? 0) + 1
    if (count > perAddressMax) {
      socket.destroy()
      return
    }
    perAddress.set(address, count)
    socket.once('close', () => {
      const left = (perAddress.get(address) ?? 1) - 1
      if (left === 0) perAddress.delete(address)
      else perAddress.set(address, left)
    })
    keep(plain, socket)
  })
  server.on('secureConnection', (socket: TLSSocket) => keep(secure, socket))
  server.on('request', (_: IncomingMessage, response: ServerResponse) => {
    answersPending += 1
    response.once('close', () => {
      answersPending -= 1
      if (answersPending === 0) answered?.()
    })
  })

  return {
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

/** Whom an address stands for: of IPv6 a household has a /64. */
export function addressOf(ip: string): string {
  return normalizeIP(ip, 64)
}

function keep<T extends Socket>(set: Set<T>, socket: T): void {
  set.add(socket)
  socket.once('close', () => set.delete(socket))
}
