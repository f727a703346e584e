// How long a request may take to arrive: half a minute from its headers to its last byte, and an upload as long as it
// moves. Node knows one deadline for all.
import type { FastifyRequest } from 'fastify'
import type { Api } from '../http/api.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The body is read as a stream, and may be long. */
    upload?: boolean
  }
}

const BODY_MS = 30_000
const ANSWER = 'HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n'

export function boundBodies(api: Api, bodyMs = BODY_MS): void {
  api.addHook('onRequest', async request => watch(request, bodyMs))
}

function watch(request: FastifyRequest, bodyMs: number): void {
  const { raw } = request
  const { socket } = raw
  let seen = socket.bytesRead
  const look = () => {
    if (raw.complete || socket.destroyed) return
    const moves = socket.bytesRead > seen
    // Only of somebody we know.
    if (request.routeOptions.config.upload === true && request.holder !== null && moves) {
      seen = socket.bytesRead
      timer = setTimeout(look, bodyMs).unref()
    } else socket.end(ANSWER, () => socket.destroy())
  }
  let timer = setTimeout(look, bodyMs).unref()
  raw.once('close', () => clearTimeout(timer))
}
