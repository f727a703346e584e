// How often each certificate was refused recently, and whether its next refusal is answered at once, later or never. Many clients
// reconnect each second after any refusal; a delayed answer reduces that to one handshake in some seconds. Pure.

type RefusalAnswer = 'at_once' | 'delayed' | 'closed'

type RepeatedRefusals = {
  /** Notes a refusal of the certificate with this fingerprint. One that is `delayed` must be released when it is over. */
  refused(fingerprint: string): RefusalAnswer
  release(fingerprint: string): void
  /** The certificate may be admitted now: it starts anew. */
  forget(fingerprint: string): void
}

type RefusalSettings = {
  /** Refusals of one certificate that are answered at once, until it was not refused for a minute. */
  refusalBurst: number
  refusalDelayMs: number
  refusedCertificatesMax: number
}

type Entry = { count: number; at: number; waiting: number }

const FORGET_MS = 60_000
/** Connections of one certificate that wait at once; a client has one. */
const WAITING_EACH_MAX = 2
/** Some 30 MB of TLS state. */
const WAITING_MAX = 500

/** `now` gives monotonic milliseconds. */
export function createRepeatedRefusals(settings: RefusalSettings, now: () => number): RepeatedRefusals {
  /** In order of their last refusal, the oldest first. */
  const entries = new Map<string, Entry>()
  let waiting = 0

  function noted(fingerprint: string): Entry {
    const at = now()
    const before = entries.get(fingerprint)
    const entry = before ?? { count: 0, at, waiting: 0 }
    if (at - entry.at >= FORGET_MS) entry.count = 0
    entry.count += 1
    entry.at = at
    entries.delete(fingerprint)
    if (entries.size >= settings.refusedCertificatesMax) entries.delete(entries.keys().next().value!)
    entries.set(fingerprint, entry)
    return entry
  }

  return {
    refused(fingerprint) {
      const entry = noted(fingerprint)
      if (settings.refusalDelayMs === 0 || entry.count <= settings.refusalBurst) return 'at_once'
      if (entry.waiting >= WAITING_EACH_MAX || waiting >= WAITING_MAX) return 'closed'
      entry.waiting += 1
      waiting += 1
      return 'delayed'
    },
    release(fingerprint) {
      waiting -= 1
      const entry = entries.get(fingerprint)
      if (entry !== undefined && entry.waiting > 0) entry.waiting -= 1
    },
    forget(fingerprint) {
      const entry = entries.get(fingerprint)
      if (entry !== undefined) entry.count = 0
    },
  }
}
