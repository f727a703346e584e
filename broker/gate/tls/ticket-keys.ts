// The keys that seal TLS session tickets: made here, kept in memory alone, replaced after each lifetime.
// All gates of a broker share them, so that a device resumes at whichever it meets.
import { randomBytes } from 'node:crypto'

type TicketKeys = {
  now(): Buffer
  /** Replaces them: no session from before is resumed. */
  renew(): Buffer
  /** Replaces them after each lifetime from now on, until stopped. */
  rotate(onRenewed: (keys: Buffer) => void): void
  stop(): void
}

/** A name, an HMAC key and an AES key of 16 bytes each (Node's `tls.Server.setTicketKeys`). */
const TICKET_KEYS_BYTES = 48

/** OpenSSL takes one set of keys at a time: with new ones, an older ticket costs a full handshake. */
export function createTicketKeys(lifetimeMs: number): TicketKeys {
  let keys = randomBytes(TICKET_KEYS_BYTES)
  let timer: NodeJS.Timeout | undefined
  const renew = () => {
    keys = randomBytes(TICKET_KEYS_BYTES)
    return keys
  }
  return {
    now: () => keys,
    renew,
    rotate(onRenewed) {
      if (lifetimeMs > 0) timer = setInterval(() => onRenewed(renew()), lifetimeMs).unref()
    },
    stop: () => clearInterval(timer),
  }
}
