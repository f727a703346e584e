// A layer of the broker as a server of its own: TLS alone, as the gate begins it or as Bun's own listener does, or the gate without an engine.
// Every CONNECT gets a canned CONNACK. Run by bench/scenarios/admission-by-layer.ts, on Node or on Bun.

import { createServer } from 'node:net'
import { join } from 'node:path'
import { Duplex } from 'node:stream'
import { createServer as createTlsServer } from 'node:tls'
import { createAdmit } from '../broker/admission/admit.ts'
import { openGate } from '../broker/gate/index.ts'
import type { GateOptions } from '../broker/gate/interface.ts'
import { createLimits } from '../broker/gate/limits/connection-limits.ts'
import { createReadTrust } from '../broker/gate/tls/trust.ts'
import { validateSettings } from '../broker/settings/validation.ts'
import { prepareAdmissionLookup } from '../db/admission-lookup.ts'
import { openForReading } from '../db/open.ts'

/** What is used of `Bun.listen`, by Bun's documents. */
type BunSocket = {
  data: Duplex | null
  write(bytes: Buffer): number
  end(): void
  terminate(): void
  setNoDelay(on: boolean): void
  setKeepAlive(on: boolean, delayMs: number): void
}
type BunListen = (options: {
  hostname: string
  port: number
  allowHalfOpen: boolean
  tls: object
  socket: {
    open(socket: BunSocket): void
    handshake(socket: BunSocket, success: boolean): void
    data(socket: BunSocket, bytes: Buffer): void
    end(socket: BunSocket): void
    close(socket: BunSocket): void
    drain(socket: BunSocket): void
    error(socket: BunSocket): void
  }
}) => unknown

export type Layer = 'accepted' | 'listening' | 'bun-listen' | 'gate' | 'gate-lookup'

const CONNACK = Buffer.from([0x20, 0x02, 0x00, 0x00])
const KEEP_ALIVE_MS = 60_000

const [layer, portText, data] = process.argv.slice(2) as [Layer, string, string]
const [host, port] = ['127.0.0.1', Number(portText)]
const settings = validateSettings({ addressRatePerSecond: 1_000_000, addressBurst: 1_000_000 })
const registry = openForReading(join(data, 'registry.db'))
const readTrust = createReadTrust(registry, data, settings)
const tls = { ...readTrust().context, requestCert: true, rejectUnauthorized: false }
const tcp = { noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS }

const start: Record<Layer, () => unknown> = {
  accepted() {
    const server = createTlsServer(tls, answer)
    createServer(tcp, raw => {
      raw.on('error', () => {})
      server.emit('connection', raw)
    }).listen(port, host)
  },
  listening: () => createTlsServer({ ...tls, ...tcp }, answer).listen(port, host),
  'bun-listen': listenOnBun,
  gate: () => gate(() => ({ admitted: true, record: { deviceId: 'any' } })),
  'gate-lookup': () =>
    gate(
      createAdmit({
        lookup: prepareAdmissionLookup(registry.sqlite),
        now: Date.now,
        pq: settings.pq,
        onDoubt() {},
      }),
    ),
}
await start[layer]()
process.on('SIGTERM', () => process.exit(0))

function answer(stream: Duplex): void {
  stream.on('error', () => {})
  stream.on('data', (bytes: Buffer) => {
    if (bytes[0] === 0x10) stream.write(CONNACK)
    else stream.end()
  })
}

function gate(admit: GateOptions['admit']): Promise<unknown> {
  const nothing = () => {}
  return openGate({
    ...{ host, port, shared: false, settings, readTrust, admit },
    limits: createLimits(settings, () => performance.now()),
    ticketKeys: Buffer.alloc(48, 7),
    selfRegistration: { lookup: () => null, note: () => false, now: Date.now },
    handleConnection({ stream }) {
      answer(stream)
      return { drop: () => void stream.end() }
    },
    observer: {
      ...{ refused: nothing, handshakeTook: nothing, refusalDelayed: nothing, admissionTook: nothing },
      ...{ trustReloaded: nothing, trustNotReloaded: nothing },
    },
  })
}

/** With what Bun's documents name: no signature schemes, no groups. What the kernel does not take at once is dropped. */
function listenOnBun(): void {
  const { listen } = (globalThis as unknown as { Bun: { listen: BunListen } }).Bun
  const { cert, key, ca, ciphers, secureOptions, requestCert, rejectUnauthorized } = tls
  listen({
    ...{ hostname: host, port, allowHalfOpen: true },
    tls: { cert, key, ca, ciphers, secureOptions, requestCert, rejectUnauthorized },
    socket: {
      open(socket) {
        socket.setNoDelay(true)
        socket.setKeepAlive(true, KEEP_ALIVE_MS)
        socket.data = null
      },
      handshake(socket, success) {
        if (!success) return
        socket.data = streamOf(socket)
        answer(socket.data)
      },
      data: (socket, bytes) => void socket.data?.push(bytes),
      end(socket) {
        if (socket.data === null) socket.end()
        else socket.data.push(null)
      },
      close: socket => void socket.data?.destroy(),
      drain() {},
      error() {},
    },
  })
}

function streamOf(socket: BunSocket): Duplex {
  return new Duplex({
    read() {},
    write(bytes: Buffer, _, done) {
      socket.write(bytes)
      done()
    },
    final(done) {
      socket.end()
      done()
    },
    destroy(error, done) {
      socket.terminate()
      done(error)
    },
  })
}
