// Run by the runtime that is to carry the broker, before it may: a TLS listener as the gate's, which says of each connection
// what it saw. The client is another process with another TLS stack, and judges (cli/service/broker-runtime-check.ts).
import { createServer } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { tlsProfile } from '../../pki/tls-profile.ts'
import { identifyPeer } from './tls/peer.ts'

/** From the parent process, by IPC: a server certificate and its key, PEM. */
export type CheckStart = { certificate: string; key: string }

/** To the parent: where it listens, as which runtime; then a line of JSON to each client. */
export type CheckReady = { port: number; bun: string | null }
export type CheckSeen = { fingerprint: string | null; resumed: boolean }

process.once('message', ({ certificate, key }: CheckStart) => {
  const context = { cert: certificate, key, ca: [], ...tlsProfile }
  const server = createTlsServer({ ...context, requestCert: true, rejectUnauthorized: false }, socket => {
    socket.on('error', () => {})
    const { fingerprint } = identifyPeer(socket, () => 'unknown')
    const seen: CheckSeen = { fingerprint, resumed: socket.isSessionReused() }
    socket.end(`${JSON.stringify(seen)}\n`)
  })
  server.on('tlsClientError', (_, socket) => socket.destroy())
  // As the gate does: TLS begins on a connection that was accepted before.
  const listener = createServer(raw => server.emit('connection', raw))
  listener.listen(0, '127.0.0.1', () => {
    const address = listener.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    const ready: CheckReady = { port: address.port, bun: process.versions['bun'] ?? null }
    process.send?.(ready)
  })
  // The only other message: TLS sessions from before are to be void.
  process.on('message', () => {
    server.setSecureContext(context)
    process.send?.({ renewed: true })
  })
})
process.once('disconnect', () => process.exit())
