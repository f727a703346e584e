// The header a load balancer puts before the handshake (PROXY protocol, version 2, §2.2): the address that the
// connection came from. Read only from addresses that the operator trusts; from any other address it is refused as not TLS.
import type { Socket } from 'node:net'

type ProxyHeader =
  | { verdict: 'incomplete' }
  | { verdict: 'refused' }
  /** `bytes` is its length; `address` is null where the balancer speaks for itself (LOCAL, a health check). */
  | { verdict: 'read'; bytes: number; address: string | null }

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')
const FIXED_BYTES = 16
/** Addresses and type-length-value fields; more is no header of a balancer's. */
const REST_BYTES_MAX = 1_024
const LOCAL = 0x20
const PROXY = 0x21
const TCP_OVER_IPV4 = 0x11
const TCP_OVER_IPV6 = 0x21

/** Parses the first bytes of a connection. Pure. */
export function parseProxyHeader(bytes: Buffer): ProxyHeader {
  const known = Math.min(bytes.length, SIGNATURE.length)
  if (!bytes.subarray(0, known).equals(SIGNATURE.subarray(0, known))) return { verdict: 'refused' }
  if (bytes.length < FIXED_BYTES) return { verdict: 'incomplete' }
  const rest = bytes.readUInt16BE(14)
  if (rest > REST_BYTES_MAX) return { verdict: 'refused' }
  if (bytes.length < FIXED_BYTES + rest) return { verdict: 'incomplete' }
  const read = { verdict: 'read', bytes: FIXED_BYTES + rest } as const
  if (bytes[12] === LOCAL) return { ...read, address: null }
  if (bytes[12] !== PROXY) return { verdict: 'refused' }
  if (bytes[13] === TCP_OVER_IPV4 && rest >= 12) return { ...read, address: bytes.subarray(16, 20).join('.') }
  if (bytes[13] === TCP_OVER_IPV6 && rest >= 36) return { ...read, address: ipv6(bytes.subarray(16, 32)) }
  return { verdict: 'refused' }
}

/**
 * Reads the header off a fresh connection and puts back what follows. Calls back once with the address it names, null for
 * the balancer's own, or undefined where none came in time or what came is no header.
 */
export function awaitProxyHeader(
  raw: Socket,
  timeoutMs: number,
  done: (address: string | null | undefined) => void,
): void {
  let head: Buffer = Buffer.alloc(0)
  const deadline = setTimeout(() => finish(undefined), timeoutMs)
  const onGone = () => finish(undefined)
  const onReadable = () => {
    // Chunk by chunk: 'readable' is not emitted again for chunks that are left unread.
    for (;;) {
      const chunk = raw.read() as Buffer | null
      if (chunk === null) return
      head = Buffer.concat([head, chunk])
      const header = parseProxyHeader(head)
      if (header.verdict === 'incomplete') continue
      if (header.verdict === 'refused') return finish(undefined)
      if (head.length > header.bytes) raw.unshift(head.subarray(header.bytes))
      return finish(header.address)
    }
  }
  raw.on('readable', onReadable)
  raw.on('close', onGone)
  raw.on('end', onGone)

  function finish(address: string | null | undefined): void {
    clearTimeout(deadline)
    raw.off('readable', onReadable)
    raw.off('close', onGone)
    raw.off('end', onGone)
    done(address)
  }
}

function ipv6(bytes: Buffer): string {
  const groups: string[] = []
  for (let at = 0; at < bytes.length; at += 2) groups.push(bytes.readUInt16BE(at).toString(16))
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1) // in its shortest form
}
