// A broker on a free port over a test roll, and a bare TLS client that reports just what a device would see.
import { connect as connectTcp } from 'node:net'
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls'
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt'
import pino from 'pino'
import { type Broker, type BrokerOptions, startBroker } from '../../broker/index.ts'
import { type BrokerSettings, validateSettings } from '../../broker/settings/validation.ts'
import type { Identity } from './authority.ts'
import { openInbox } from './inbox.ts'
import { createRoll, type Roll } from './roll.ts'

/** One log line of the broker, as its JSON says. */
export type Line = {
  msg: string
  reason?: string
  deviceId?: string
  fingerprint?: string
  [field: string]: unknown
}

export type TestBroker = {
  broker: Broker
  roll: Roll
  lines: Line[]
  /** Resolves with the first line, past or to come, that fits; rejects where none comes in half a minute. */
  line(fits: (line: Line) => boolean): Promise<Line>
  close(): Promise<void>
}

const LINE_DEADLINE_MS = 30_000
/** Where a test does not say how many gates, the environment may: the same tests hold for any number. */
const gates = Number(process.env['TEST_GATES'] ?? 0)

export async function startTestBroker(
  options: {
    settings?: Partial<BrokerSettings>
    now?: () => number
    roll?: Roll
    nodeId?: string
    cluster?: BrokerOptions['cluster']
    onFatal?: () => void
    port?: number
    intervals?: BrokerOptions['intervals']
  } = {},
): Promise<TestBroker> {
  const roll = options.roll ?? (await createRoll())
  const lines: Line[] = []
  const waiting = new Set<() => void>()
  const log = pino(
    { level: 'debug', base: null },
    {
      write(text: string) {
        lines.push(JSON.parse(text))
        for (const look of waiting) look()
      },
    },
  )
  const given: BrokerOptions = {
    data: roll.data,
    host: '127.0.0.1',
    port: options.port ?? 0,
    settings: validateSettings({ gates, ...options.settings }),
    log,
    ...(options.now ? { now: options.now } : {}),
    ...(options.nodeId ? { nodeId: options.nodeId } : {}),
    ...(options.cluster ? { cluster: options.cluster } : {}),
    ...(options.onFatal ? { onFatal: options.onFatal } : {}),
    ...(options.intervals ? { intervals: options.intervals } : {}),
  }
  const broker = await startBroker(given)
  return {
    broker,
    roll,
    lines,
    line(fits) {
      return new Promise((resolve, reject) => {
        const deadline = setTimeout(() => {
          waiting.delete(look)
          reject(new Error(`no line came that fits ${fits}`))
        }, LINE_DEADLINE_MS)
        const look = () => {
          const found = lines.find(fits)
          if (found === undefined) return
          waiting.delete(look)
          clearTimeout(deadline)
          resolve(found)
        }
        waiting.add(look)
        look()
      })
    },
    async close() {
      await broker.close()
      if (options.roll === undefined) await roll.close()
    },
  }
}

/** Settings for many handshakes in this very process: none is given up because others had their turn before, nor waits for its refusal. */
export const longTimeouts = { handshakeTimeoutMs: 120_000, connectTimeoutMs: 120_000, refusalDelayMs: 0 }

/** What a device sees: cut without an answer, or a CONNACK return code. */
export type Seen = 'cut' | `connack ${number}`

export type Attempt = {
  identity?: Identity | undefined
  connect?: Parameters<typeof connectPacket>[0]
  tls?: ConnectionOptions
  /** Bytes to send instead of a CONNECT. */
  bytes?: Buffer
}

/** Connects once and reports what was seen; an admitted connection is closed again. */
export async function attempt(test: Listening, options: Attempt): Promise<Seen> {
  const socket = await openTls(test, options).catch(() => null)
  if (socket === null) return 'cut'
  socket.write(options.bytes ?? connectPacket(options.connect ?? {}))
  const answer = await firstBytes(socket)
  socket.destroy()
  return answer === null ? 'cut' : `connack ${answer[3] ?? -1}`
}

/** A broker that listens, in this process or another. */
export type Listening = { broker: { port: number }; roll: Pick<Roll, 'root'> }

/** A finished handshake; rejects where there was none. The server may close right behind it. */
export function openTls(test: Listening, options: Pick<Attempt, 'identity' | 'tls'>): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({
      host: '127.0.0.1',
      port: test.broker.port,
      servername: 'localhost',
      ca: test.roll.root.certificate,
      ...(options.identity ? { cert: options.identity.certificate, key: options.identity.key } : {}),
      ...options.tls,
    })
    socket.once('secureConnect', () => resolve(socket))
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('closed')))
  })
}

/** The first bytes the server sends, or null where it closes without any. */
export function firstBytes(socket: NodeJS.ReadableStream): Promise<Buffer | null> {
  return new Promise(resolve => {
    socket.once('data', chunk => resolve(chunk as Buffer))
    socket.once('close', () => resolve(null))
    socket.once('end', () => resolve(null))
    socket.on('error', () => resolve(null))
  })
}

/** Sends bytes over plain TCP and reports whether anything but a TLS alert came back. */
export function attemptPlain(test: Pick<Listening, 'broker'>, bytes: Buffer): Promise<Buffer> {
  return new Promise(resolve => {
    const received: Buffer[] = []
    const socket = connectTcp({ host: '127.0.0.1', port: test.broker.port }, () => socket.write(bytes))
    socket.on('data', (chunk: Buffer) => received.push(chunk))
    socket.on('error', () => {})
    socket.once('close', () => resolve(Buffer.concat(received)))
  })
}

/** An MQTT CONNECT, written by hand so that odd ones can be made too. */
export function connectPacket(options: {
  clientId?: string
  clean?: boolean
  username?: string
  password?: string
  will?: { topic: string; payload?: string; qos?: number; retain?: boolean }
  level?: number
  keepalive?: number
}): Buffer {
  const { clientId = '', clean = true, level = 4, keepalive = 60 } = options
  const will = options.will
  const flags =
    (clean ? 0x02 : 0) |
    (will ? 0x04 | ((will.qos ?? 0) << 3) | (will.retain ? 0x20 : 0) : 0) |
    (options.password === undefined ? 0 : 0x40) |
    (options.username === undefined ? 0 : 0x80)
  const body = Buffer.concat([
    field(level === 3 ? 'MQIsdp' : 'MQTT'),
    Buffer.from([level, flags, keepalive >> 8, keepalive & 0xff]),
    level >= 5 ? Buffer.from([0]) : Buffer.alloc(0),
    field(clientId),
    ...(will ? [field(will.topic), field(will.payload ?? '')] : []),
    ...(options.username === undefined ? [] : [field(options.username)]),
    ...(options.password === undefined ? [] : [field(options.password)]),
  ])
  return Buffer.concat([Buffer.from([0x10]), remainingLength(body.length), body])
}

export function field(text: string): Buffer {
  const bytes = Buffer.from(text)
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes])
}

export function remainingLength(length: number): Buffer {
  const octets: number[] = []
  let rest = length
  do {
    octets.push((rest & 0x7f) | (rest > 127 ? 0x80 : 0))
    rest >>= 7
  } while (rest > 0)
  return Buffer.from(octets)
}

/** A standard client, connected. */
export function mqttClient(
  test: Listening,
  id: string,
  identity: Identity,
  options: IClientOptions = {},
): Promise<MqttClient> {
  return mqtt.connectAsync(
    `mqtts://127.0.0.1:${test.broker.port}`,
    clientOptions(test, id, identity, options),
  )
}

/** MQTT.js gives a message of QoS 2 out at PUBREL, from this store: a client that comes back needs the one it had. */
export function incomingStores(): (id: string) => { incomingStore: mqtt.Store } {
  const stores = new Map<string, { incomingStore: mqtt.Store }>()
  return id => stores.getOrInsertComputed(id, () => ({ incomingStore: new mqtt.Store({ clean: false }) }))
}

/** A standard client that comes back to its session: what had waited for it is in the inbox. */
export async function returningClient(
  test: Listening,
  id: string,
  identity: Identity,
  more: IClientOptions = {},
) {
  const options = clientOptions(test, id, identity, { ...more, clean: false })
  const client = mqtt.connect(`mqtts://127.0.0.1:${test.broker.port}`, options)
  const inbox = openInbox(client)
  const sessionPresent = await new Promise<boolean>((resolve, reject) => {
    client.once('connect', connack => resolve(connack.sessionPresent))
    client.once('error', reject)
    client.once('close', () => reject(new Error('closed without an answer')))
  })
  return { client, inbox, sessionPresent }
}

function clientOptions(
  test: Listening,
  id: string,
  identity: Identity,
  options: IClientOptions,
): IClientOptions {
  return {
    clientId: id,
    cert: identity.certificate,
    key: identity.key,
    ca: test.roll.root.certificate,
    servername: 'localhost',
    reconnectPeriod: 0,
    ...options,
  }
}
