// The certificate that the handshake of a connection proved a key for. Read from the socket, never from a header.
import type { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import type { FastifyRequest } from 'fastify'

/** What the handshake proved. Sessions are never resumed here; one that claims to be has proved nothing. */
export function presentedCertificate(request: FastifyRequest): X509Certificate | null {
  const socket = request.raw.socket as TLSSocket
  return socket.isSessionReused() ? null : (socket.getPeerX509Certificate() ?? null)
}
