// A device on a real TLS connection that speaks MQTT packet by packet, and remembers what it heard.
import { connect, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls'
import { generate, type Packet, parser as packetParser } from 'mqtt-packet'
import type { Identity } from '../harness/authority.ts'

export type DeviceLink = {
  protocolVersion: 4 | 5
  /** Payloads of what was published to it. */
  heard: Set<string>
  isOpen(): boolean
  /** Sends a packet and gives the first one that answers it; null where the connection ends instead. */
  ask(packet: Packet, answeredBy: Packet['cmd']): Promise<Packet | null>
  send(packet: Packet): void
  /** Ends the connection without a word. */
  drop(): Promise<void>
  closed: Promise<void>
}

const DEADLINE_MS = 30_000
const contexts = new WeakMap<Identity, SecureContext>()

/** A finished handshake; null where the broker ended it. */
export async function openLink(
  port: number,
  ca: string,
  identity: Identity,
  protocolVersion: 4 | 5,
): Promise<DeviceLink | null> {
  const known = contexts.get(identity)
  const secureContext = known ?? createSecureContext({ ca, cert: identity.certificate, key: identity.key })
  contexts.set(identity, secureContext)
  const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', secureContext })
  socket.setNoDelay(true)
  const closed = new Promise<void>(resolve => socket.once('close', () => resolve()))
  socket.on('error', () => {})
  const open = await new Promise<boolean>(resolve => {
    socket.once('secureConnect', () => resolve(true))
    void closed.then(() => resolve(false))
  })
  return open ? linkOver(socket, closed, protocolVersion) : null
}

function linkOver(socket: TLSSocket, closed: Promise<void>, protocolVersion: 4 | 5): DeviceLink {
  const heard = new Set<string>()
  const waiting: { answeredBy: string; resolve: (packet: Packet | null) => void }[] = []
  let open = true
  const parser = packetParser({ protocolVersion })
  socket.on('data', (chunk: Buffer) => parser.parse(chunk))
  parser.on('packet', packet => {
    if (packet.cmd === 'publish') {
      heard.add(String(packet.payload))
      if (packet.qos === 1) send({ cmd: 'puback', messageId: packet.messageId! })
    }
    const at = waiting.findIndex(({ answeredBy }) => answeredBy === packet.cmd)
    if (at >= 0) waiting.splice(at, 1)[0]!.resolve(packet)
  })
  socket.once('end', () => socket.end())
  void closed.then(() => {
    open = false
    for (const { resolve } of waiting.splice(0)) resolve(null)
  })

  function send(packet: Packet): void {
    if (socket.writable) socket.write(generate(packet, { protocolVersion }))
  }

  return {
    protocolVersion,
    heard,
    closed,
    isOpen: () => open,
    send,
    ask(packet, answeredBy) {
      if (!open) return Promise.resolve(null)
      return new Promise((resolve, reject) => {
        const deadline = setTimeout(() => reject(new Error(`no ${answeredBy} came`)), DEADLINE_MS)
        waiting.push({
          answeredBy,
          resolve(answer) {
            clearTimeout(deadline)
            resolve(answer)
          },
        })
        send(packet)
      })
    },
    drop() {
      socket.destroy()
      return closed
    },
  }
}
