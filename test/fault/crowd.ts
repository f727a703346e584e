// A crowd of devices that stay connected and come back by themselves, each a TLS socket and a CONNECT: cheap enough for thousands.
import { connect, type TLSSocket } from 'node:tls'
import type { Credentials } from '../e2e/devices.ts'
import { connectPacket } from '../harness/broker.ts'

export type Crowd = {
  size: number
  /** How many have their CONNACK 0 now. */
  inside(): number
  /** How many connections ended so far. */
  ends(): number
  /** CONNACK codes other than 0, so far. */
  refusals: number[]
  /** Resolves with the ms it took until this share was inside. */
  back(share: number, deadlineMs: number): Promise<number>
  leave(): void
}

/** Devices come back so long after their connection ended, each at its own moment. */
const RETURN_MIN_MS = 50
const RETURN_SPREAD_MS = 200
const LOOK_MS = 10

export function openCrowd(
  port: number,
  members: readonly (Credentials & { id: string })[],
  { clean = false, servername = 'localhost' } = {},
): Crowd {
  const inside = new Set<string>()
  const sockets = new Set<TLSSocket>()
  const returns = new Set<NodeJS.Timeout>()
  const refusals: number[] = []
  let ends = 0
  let left = false

  function enter(member: Credentials & { id: string }): void {
    const { id, certificate: cert, key } = member
    const options = { host: '127.0.0.1', port, servername, rejectUnauthorized: false, cert, key }
    const socket = connect(options, () => socket.write(connectPacket({ clientId: id, clean, keepalive: 60 })))
    sockets.add(socket)
    const ping = setInterval(() => socket.write(PINGREQ), PING_MS)
    socket.once('data', (answer: Buffer) => {
      if (answer[3] === 0) inside.add(id)
      else refusals.push(answer[3] ?? -1)
    })
    socket.resume()
    socket.on('error', () => {})
    socket.once('close', () => {
      clearInterval(ping)
      sockets.delete(socket)
      if (inside.delete(id)) ends += 1
      if (left) return
      const timer = setTimeout(
        () => {
          returns.delete(timer)
          enter(member)
        },
        RETURN_MIN_MS + Math.random() * RETURN_SPREAD_MS,
      )
      returns.add(timer)
    })
  }

  for (const member of members) enter(member)
  return {
    size: members.length,
    inside: () => inside.size,
    ends: () => ends,
    refusals,
    async back(share, deadlineMs) {
      const began = performance.now()
      while (inside.size < members.length * share) {
        if (performance.now() - began > deadlineMs)
          throw new Error(`only ${inside.size} of ${members.length} are inside after ${deadlineMs} ms`)
        await new Promise(resolve => setTimeout(resolve, LOOK_MS))
      }
      return performance.now() - began
    },
    leave() {
      left = true
      for (const timer of returns) clearTimeout(timer)
      for (const socket of sockets) socket.destroy()
    },
  }
}

const PINGREQ = Buffer.from([0xc0, 0])
const PING_MS = 20_000
