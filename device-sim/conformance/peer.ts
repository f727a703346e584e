// One connection to a broker under test: packets and raw bytes out, packets in the order of their arrival, and its end.
// Every wait has a deadline. Does not know which answer is right.
import { generate, type IConnackPacket, type Packet, parser } from 'mqtt-packet'
import type { Credentials } from '../links/session.ts'
import {
  type DeviceSocket,
  loadTransport,
  openSocket,
  serverCertificateProblem,
  tlsOf,
} from '../links/socket.ts'
import type { Broker } from '../target.ts'

/** The broker did not do what a clause asks of it. */
export class ClauseFailed extends Error {}
/** The broker has no such thing, or does not let this client try. */
export class NotApplicable extends Error {}

export type Version = 4 | 5

export type Where = {
  broker: Broker
  credentials: Credentials | null
  username: string | null
  password: string | null
  /** How long an answer is waited for. */
  patienceMs: number
}

export type Connack = IConnackPacket & { properties?: Record<string, unknown> }
type Of<Cmd> = Extract<Packet, { cmd: Cmd }>

export type Peer = {
  version: Version
  send(packet: Packet): void
  raw(...bytes: (number | Buffer | string)[]): void
  /** The next packet of that kind; others before it are kept for later. @throws ClauseFailed */
  expect<Cmd extends Packet['cmd']>(cmd: Cmd): Promise<Of<Cmd>>
  /** @throws ClauseFailed unless the broker closes. */
  closes(what: string, withinMs?: number): Promise<void>
  /** The PUBLISH packets that came so far and were not expected. */
  publishes(): Of<'publish'>[]
  /** Whether such a packet came, and was not expected. */
  has(cmd: Packet['cmd']): boolean
  isClosed(): boolean
  /** DISCONNECT, and waits for the end. */
  leave(): Promise<void>
  /** Gone without a word. */
  drop(): void
}

type Waiter = { cmd: string; resolve(packet: Packet): void; reject(error: Error): void }

/** Opens the transport; nothing of MQTT is sent. */
export async function openPeer(where: Where, version: Version, clientId = ''): Promise<Peer> {
  const { broker, credentials, patienceMs } = where
  const queue: Packet[] = []
  const waiters = new Set<Waiter>()
  const read = parser({ protocolVersion: version })
  let closed = false
  let unreadable: Error | null = null
  const options = { broker, clientId, credentials, timeoutMs: patienceMs }
  await loadTransport(broker.transport)
  const socket: DeviceSocket = openSocket(options)
  socket.on('error', () => {})
  await new Promise<void>((resolve, reject) => {
    const overdue = setTimeout(() => reject(new ClauseFailed('no connection in time')), patienceMs * 5)
    socket.once('secureConnect', () => {
      clearTimeout(overdue)
      const fault = serverCertificateProblem(tlsOf(socket), options)
      if (fault) reject(new ClauseFailed(`the server is not trusted: ${fault}`))
      else resolve()
    })
    socket.once('close', () => {
      clearTimeout(overdue)
      reject(new ClauseFailed('closed before MQTT could be spoken'))
    })
  })
  read.on('packet', packet => {
    for (const waiter of waiters) {
      if (waiter.cmd !== packet.cmd) continue
      waiters.delete(waiter)
      waiter.resolve(packet)
      return
    }
    queue.push(packet)
  })
  read.on('error', error => {
    unreadable = error
  })
  socket.on('data', (bytes: Buffer) => void read.parse(bytes))
  const ended = new Promise<void>(resolve => {
    socket.once('close', () => {
      closed = true
      for (const { cmd, reject } of waiters)
        reject(new ClauseFailed(`closed instead of sending ${cmd.toUpperCase()}`))
      waiters.clear()
      resolve()
    })
  })
  // A broker that ends its side has closed, whatever is still to be written.
  socket.once('end', () => socket.end())

  const peer: Peer = {
    version,
    send: packet => void socket.write(generate(packet, { protocolVersion: version })),
    raw(...bytes) {
      const parts = bytes.map(one => (typeof one === 'number' ? Buffer.from([one]) : Buffer.from(one)))
      socket.write(Buffer.concat(parts))
    },
    expect: <Cmd extends Packet['cmd']>(cmd: Cmd) =>
      new Promise<Of<Cmd>>((resolve, reject) => {
        const at = queue.findIndex(packet => packet.cmd === cmd)
        if (at >= 0) return resolve(queue.splice(at, 1)[0] as Of<Cmd>)
        if (closed) return reject(new ClauseFailed(`closed instead of sending ${cmd.toUpperCase()}`))
        const waiter: Waiter = {
          cmd,
          resolve: packet => {
            clearTimeout(overdue)
            resolve(packet as Of<Cmd>)
          },
          reject: error => {
            clearTimeout(overdue)
            reject(error)
          },
        }
        const overdue = setTimeout(() => {
          waiters.delete(waiter)
          const saw = unreadable ? `, but what cannot be read (${unreadable.message})` : ''
          reject(new ClauseFailed(`no ${cmd.toUpperCase()} within ${patienceMs} ms${saw}`))
        }, patienceMs)
        waiters.add(waiter)
      }),
    async closes(what, withinMs = patienceMs) {
      let overdue: NodeJS.Timeout | undefined
      const late = new Promise<'late'>(resolve => {
        overdue = setTimeout(() => resolve('late'), withinMs)
      })
      const first = await Promise.race([ended, late])
      clearTimeout(overdue)
      if (first === 'late') throw new ClauseFailed(`the connection was not closed after ${what}`)
    },
    publishes: () => queue.filter(packet => packet.cmd === 'publish'),
    has: cmd => queue.some(packet => packet.cmd === cmd),
    isClosed: () => closed,
    async leave() {
      if (closed) return
      peer.send({ cmd: 'disconnect' })
      socket.end()
      const force = setTimeout(() => socket.destroy(), patienceMs)
      await ended
      clearTimeout(force)
    },
    drop: () => void socket.destroy(),
  }
  return peer
}
