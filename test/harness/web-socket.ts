// A WebSocket client that speaks frame by frame over real TLS (RFC 6455 §5): free to send what no library would.
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import type { Identity } from './authority.ts'
import { type Listening, openTls } from './broker.ts'
import { until } from './until.ts'

export const opcodes = { text: 0x1, binary: 0x2, close: 0x8, ping: 0x9, pong: 0xa } as const

export type WebSocketFrame = { opcode: number; payload: Buffer }

export type RawWebSocket = {
  socket: TLSSocket
  /** The HTTP status of the answer to the upgrade. */
  status: number
  /** What arrived so far, whole and in order; the list grows. */
  frames: WebSocketFrame[]
  send(opcode: number, payload: Buffer): void
  /** The frame of this number, once it is there; null where the connection ends before. */
  frame(index: number): Promise<WebSocketFrame | null>
}

/** Asks for an upgrade at `/mqtt`, with this Origin where one is given, and waits for the answer. */
export async function rawWebSocket(
  t: Listening,
  identity: Identity,
  headers: { origin?: string; host?: string } = {},
  tls: ConnectionOptions = {},
): Promise<RawWebSocket> {
  const socket = await openTls(t, { identity, tls })
  socket.on('error', () => {})
  let rest: Buffer = Buffer.alloc(0)
  let status: number | null = null
  const frames: WebSocketFrame[] = []
  socket.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk])
    if (status === null) {
      const end = rest.indexOf('\r\n\r\n')
      if (end < 0) return
      status = Number(/^HTTP\/1\.1 (\d+)/.exec(rest.toString('latin1'))?.[1])
      rest = rest.subarray(end + 4)
    }
    for (let frame = firstFrame(rest); frame !== null; frame = firstFrame(rest)) {
      frames.push({ opcode: frame.opcode, payload: frame.payload })
      rest = rest.subarray(frame.bytes)
    }
  })
  const host = headers.host ?? `localhost:${t.broker.port}`
  socket.write(
    `GET /mqtt HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n` +
      'Sec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==\r\nSec-WebSocket-Protocol: mqtt\r\n' +
      `${headers.origin === undefined ? '' : `Origin: ${headers.origin}\r\n`}\r\n`,
  )
  await until(() => status !== null || socket.destroyed)
  return {
    socket,
    status: status ?? 0,
    frames,
    send: (opcode, payload) => void socket.write(maskedFrame(opcode, payload)),
    async frame(index) {
      await until(() => frames.length > index || socket.destroyed)
      return frames[index] ?? null
    },
  }
}

/** A final frame of at most 65,535 bytes, masked with zeros as a client's must be masked. */
export function maskedFrame(opcode: number, payload: Buffer): Buffer {
  const long = payload.length > 125
  const length = long ? [0x80 | 126, payload.length >> 8, payload.length & 0xff] : [0x80 | payload.length]
  return Buffer.concat([Buffer.from([0x80 | opcode, ...length, 0, 0, 0, 0]), payload])
}

/** Servers do not mask, and ours sends nothing as long as 64 KiB here. */
function firstFrame(bytes: Buffer): (WebSocketFrame & { bytes: number }) | null {
  if (bytes.length < 2) return null
  const long = (bytes[1]! & 0x7f) === 126
  if (long && bytes.length < 4) return null
  const length = long ? bytes.readUInt16BE(2) : bytes[1]! & 0x7f
  const begin = long ? 4 : 2
  if (bytes.length < begin + length) return null
  return { opcode: bytes[0]! & 0x0f, payload: bytes.subarray(begin, begin + length), bytes: begin + length }
}
