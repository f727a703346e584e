// ClientHello records written by hand (RFC 8446 §4.1.2), with extensions as hostile as a test likes.
import { randomBytes } from 'node:crypto'

export type Extension = { type: number; body: Buffer }

const SERVER_NAME = 0
const ALPN = 16

/** One TLS record that holds a ClientHello of TLS 1.2 with these extensions. */
export function clientHello(extensions: Extension[]): Buffer {
  const hello = Buffer.concat([
    Buffer.from([3, 3]),
    randomBytes(32),
    Buffer.from([0]), // no session
    sized(2, Buffer.from('c02bc02fc02cc030', 'hex')), // ECDHE with AES-GCM
    Buffer.from([1, 0]), // no compression
    sized(
      2,
      Buffer.concat(
        [...standard, ...extensions].map(({ type, body }) => Buffer.concat([uint(2, type), sized(2, body)])),
      ),
    ),
  ])
  const handshake = Buffer.concat([Buffer.from([1]), sized(3, hello)])
  return Buffer.concat([Buffer.from([0x16, 3, 1]), sized(2, handshake)])
}

/** Server Name Indication with these names as they are (RFC 6066 §3). */
export function serverNames(...names: (string | Buffer)[]): Extension {
  const entries = names.map(name => Buffer.concat([Buffer.from([0]), sized(2, Buffer.from(name))]))
  return { type: SERVER_NAME, body: sized(2, Buffer.concat(entries)) }
}

/** Application protocols with these names as they are (RFC 7301 §3.1). */
export function protocols(...names: (string | Buffer)[]): Extension {
  return { type: ALPN, body: sized(2, Buffer.concat(names.map(name => sized(1, Buffer.from(name))))) }
}

/** An extension whose body is what it is. */
export function raw(type: 'serverName' | 'alpn', body: Buffer): Extension {
  return { type: type === 'alpn' ? ALPN : SERVER_NAME, body }
}

const standard: Extension[] = [
  { type: 10, body: Buffer.from('0004001d0017', 'hex') }, // groups: X25519, P-256
  { type: 11, body: Buffer.from('0100', 'hex') }, // uncompressed points
  { type: 13, body: Buffer.from('000604030804 0401'.replace(' ', ''), 'hex') }, // signatures
]

function sized(octets: number, body: Buffer): Buffer {
  return Buffer.concat([uint(octets, body.length), body])
}

function uint(octets: number, value: number): Buffer {
  const bytes = Buffer.alloc(octets)
  bytes.writeUIntBE(value, 0, octets)
  return bytes
}
