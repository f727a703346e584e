// A stand-in for the broker: mutual TLS, the roll asked by fingerprint, aedes behind it. It can be told to forgive
// one reason to refuse, so that tests can see what the simulator says when a rogue gets in.
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer, type TLSSocket } from 'node:tls'
import { Aedes, type AuthenticateError, type Client } from 'aedes'
import { type Authority, fingerprintOf } from './authority.ts'
import type { Roll } from './provisioning.ts'

export type Reason =
  | 'no_certificate'
  | 'untrusted'
  | 'unlisted'
  | 'expired'
  | 'revoked'
  | 'suspended'
  | 'client_id'

export async function startBroker(authority: Authority, roll: Roll, forgive: readonly Reason[] = []) {
  const aedes = new Aedes({ heartbeatInterval: 3_600_000 })
  await aedes.listen()
  const refused: Reason[] = []
  const received: { topic: string; payload: string }[] = []
  const held = (reason: Reason): boolean => {
    if (forgive.includes(reason)) return false
    refused.push(reason)
    return true
  }

  function stranger(socket: TLSSocket): boolean {
    const der = socket.getPeerX509Certificate()?.raw
    if (!der) return held('no_certificate')
    if (!authority.signed(der)) return held('untrusted')
    return !roll.certificates.has(fingerprintOf(der)) && held('unlisted')
  }

  function refusalCode(client: Client): number | null {
    const der = (client.conn as TLSSocket).getPeerX509Certificate()?.raw
    const certificate = der && roll.certificates.get(fingerprintOf(der))
    if (!certificate) return null
    if (certificate.notAfter.getTime() <= Date.now() && held('expired')) return 5
    if (certificate.status === 'revoked' && held('revoked')) return 5
    if (roll.devices.get(certificate.deviceId)?.state === 'suspended' && held('suspended')) return 5
    return client.id !== certificate.deviceId && held('client_id') ? 2 : null
  }

  aedes.authenticate = (client, _username, _password, done) => {
    const returnCode = refusalCode(client)
    if (returnCode === null) done(null, true)
    else done(Object.assign(new Error('refused'), { returnCode }) as AuthenticateError, false)
  }
  aedes.authorizePublish = (client, packet, done) => {
    if (client) received.push({ topic: packet.topic, payload: packet.payload.toString() })
    done(null)
  }
  const published = new Set<Client>()
  const looks = new Set<() => void>()
  aedes.on('publish', (_packet, client) => {
    if (client !== null) published.add(client)
    for (const look of looks) look()
  })
  /** Asked at each message, and now. */
  function atMessage(holds: () => boolean): Promise<void> {
    return new Promise(resolve => {
      const look = () => {
        if (!holds()) return
        looks.delete(look)
        resolve()
      }
      looks.add(look)
      look()
    })
  }

  const sockets = new Set<TLSSocket>()
  const server = createServer(
    {
      key: authority.serverKey,
      cert: authority.serverChain,
      ca: authority.rootPem,
      requestCert: true,
      rejectUnauthorized: false,
      noDelay: true,
    },
    socket => {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket)).on('error', () => {})
      if (stranger(socket)) socket.end()
      else aedes.handle(socket)
    },
  )
  server.on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `mqtts://127.0.0.1:${(server.address() as AddressInfo).port}`,
    aedes,
    refused,
    received,
    /** Resolves once so many connections have published that had not before: each has seen its CONNACK. */
    publishers(count: number): Promise<void> {
      const wanted = published.size + count
      return atMessage(() => published.size >= wanted)
    },
    /** Resolves once so many messages have come in all. */
    receives: (count: number) => atMessage(() => received.length >= count),
    /** Ends every session without a word, as a broker that dies does. */
    dropEveryone() {
      for (const socket of sockets) socket.destroy()
    },
    /** Nobody is let in any more and everybody is cut: the broker is gone. */
    stop() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      if (server.listening) {
        server.close()
        await once(server, 'close')
      }
      await new Promise<void>(resolve => aedes.close(resolve))
    },
  }
}
