// Console sessions: short-lived, in memory, kept as hashes, and never longer than the credential they began with.
// A restart ends them all. Knows no HTTP.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Holder } from '../../db/operators/token-store.ts'

/** Times in ms since the epoch. */
export type ConsoleSession = {
  kind: Holder['kind']
  /** Of the credential it began with. */
  credentialId: string
  csrfToken: string
  endsAt: number
  usedAt: number
}
export type SignedIn = { holder: Holder; session: ConsoleSession }

export type ConsoleSessions = {
  /** Gives the secret of the cookie, once. */
  begin(holder: Holder): SignedIn & { secret: string }
  /**
   * The holder of a session; null if it is unknown, has ended, was idle for too long, or its credential is accepted no more.
   * One that began with a certificate is only worth something beside that certificate.
   */
  find(secret: string, shownFingerprint: () => string | null): SignedIn | null
  /** It is in use. */
  touch(session: ConsoleSession): void
  end(secret: string): void
}

const SESSION_MS = 8 * 3_600_000
const IDLE_MS = 30 * 60_000
const SESSIONS_MAX = 10_000
const SESSIONS_PER_CREDENTIAL_MAX = 50

export function createConsoleSessions(parts: {
  /** Looked up anew whenever a session is used: null once the credential was revoked or has expired. */
  holderOf: (kind: Holder['kind'], credentialId: string) => Holder | null
  now: () => number
}): ConsoleSessions {
  const { holderOf, now } = parts
  /** By the SHA-256 of the secret, oldest first. */
  const sessions = new Map<string, ConsoleSession>()

  const isOver = (session: ConsoleSession, at: number) =>
    at >= session.endsAt || at - session.usedAt >= IDLE_MS

  function makeRoom(credentialId: string): void {
    const at = now()
    for (const [key, session] of sessions) if (isOver(session, at)) sessions.delete(key)
    const own = [...sessions].filter(([, session]) => session.credentialId === credentialId)
    for (const [key] of own.slice(0, Math.max(0, own.length - SESSIONS_PER_CREDENTIAL_MAX + 1))) {
      sessions.delete(key)
    }
    if (sessions.size >= SESSIONS_MAX) sessions.delete(sessions.keys().next().value!)
  }

  return {
    begin(holder) {
      makeRoom(holder.id)
      const at = now()
      const secret = randomBytes(32).toString('base64url')
      const session: ConsoleSession = {
        kind: holder.kind,
        credentialId: holder.id,
        csrfToken: randomBytes(32).toString('base64url'),
        endsAt: Math.min(at + SESSION_MS, holder.expiresAt ?? Number.POSITIVE_INFINITY),
        usedAt: at,
      }
      sessions.set(hashOf(secret), session)
      return { secret, session, holder }
    },

    find(secret, shownFingerprint) {
      const session = sessions.get(hashOf(secret))
      if (session === undefined) return null
      const holder = isOver(session, now()) ? null : holderOf(session.kind, session.credentialId)
      if (holder === null) {
        sessions.delete(hashOf(secret))
        return null
      }
      if (session.kind === 'certificate' && shownFingerprint() !== session.credentialId) return null
      return { holder, session }
    },

    touch(session) {
      session.usedAt = now()
    },

    end: secret => void sessions.delete(hashOf(secret)),
  }
}

/** Compares hashes, so that neither length nor content can be timed. */
export function isCsrfToken(session: ConsoleSession, given: string | string[] | undefined): boolean {
  if (typeof given !== 'string') return false
  return timingSafeEqual(digest(given), digest(session.csrfToken))
}

function hashOf(secret: string): string {
  return digest(secret).toString('hex')
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
