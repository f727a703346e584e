// The CRLs of trust anchors as they come in: read, verified, written in slices, put in force; and looked for again where a
// URL is set. A list that is late is told of, and keeps nobody out.

import { createHash } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import type { Actor } from '../../db/audit/audit.ts'
import type { IssuerCrlStatus, IssuerCrlWriter } from '../../db/issuers/issuer-crls.ts'
import type { Issuer } from '../../db/issuers/issuer-store.ts'
import { isRegistryUnavailable } from '../../db/registry-error.ts'
import type { CrlCompromiseWriter } from '../../db/roll/crl-compromise.ts'
import { Conflict } from '../../db/transact.ts'
import type { CrlCoverage } from '../../pki/distribution-points.ts'
import { CrlError, type Revocation, readRevocationList } from '../../pki/revocation-list.ts'
import { Problem } from '../http/problem.ts'
import { OutboundFault } from '../outbound/address-guard.ts'
import { periodic } from '../periodic.ts'
import { anchorProblems } from './anchor-problems.ts'

type IssuerCrls = {
  /**
   * Puts a CRL (DER) in force, and revokes the keys it lists as compromised. Gives the epoch where that changed anything, else
   * null. Throws a Problem or a Conflict.
   */
  importCrl(issuerId: string, der: Buffer, actor: Actor): Promise<number | null>
  /** Fetches from the URL that is set and imports. Throws a Problem or a Conflict. */
  refresh(issuerId: string, actor: Actor): Promise<number | null>
  /** How many lists were late at the last look. */
  staleCount(): number
  /** Looks which lists are due or late; runs by itself. Never throws. */
  look(): Promise<void>
  stop(): Promise<void>
}

type IssuerCrlParts = {
  writer: IssuerCrlWriter & CrlCompromiseWriter
  issuers(): Map<string, Issuer>
  statuses(issuerId?: string): Promise<IssuerCrlStatus[]>
  /** In words, what of this CA's on record a CRL does not tell of; null where it tells of everything. */
  uncovered(issuer: Issuer, coverage: CrlCoverage): Promise<string | null>
  fetch(url: string): Promise<Buffer>
  log: {
    crlImported(issuerId: string, entries: number): void
    crlNotRefreshed(issuerId: string, why: string): void
    crlsStale(issuerIds: readonly string[]): void
    crlLookFailed(error: unknown): void
  }
  now: () => number
  everyMs: number
  /** Where several services share a registry, one of them does it. */
  leads(): boolean
}

export const CRL_BYTES_MAX = 16 * 1024 * 1024
/** So that no slice keeps the event loop for longer than some milliseconds. */
const SLICE = 250
/** How many keys are revoked in one transaction. */
const KEYS_AT_ONCE = 5
const HASHED_BYTES = 1024 * 1024
const clock: Actor = { name: 'time', kind: 'service' }
const MINUTE_MS = 60_000
const RETRY_MS = 5 * MINUTE_MS
const REFRESH_MS = { least: 5 * MINUTE_MS, most: 24 * 60 * MINUTE_MS }

/** Whether the list in force says that a newer one should be there by now. */
export function isStale({ inForce }: IssuerCrlStatus, now: number): boolean {
  return inForce?.nextUpdate != null && inForce.nextUpdate <= now
}

export function startIssuerCrls(parts: IssuerCrlParts): IssuerCrls {
  const { writer, log, now } = parts
  let staleCount = 0
  /** Trust anchors whose CRL may list compromised keys that are not revoked yet. */
  const unfinished = new Set<string>()
  /** One list at a time: each may be long. */
  let last: Promise<unknown> = Promise.resolve()

  function importCrl(issuerId: string, der: Buffer, actor: Actor): Promise<number | null> {
    return alone(() => importNow(issuerId, der, actor))
  }

  function alone<Result>(work: () => Promise<Result>): Promise<Result> {
    const done = last.then(work)
    last = done.catch(() => {})
    return done
  }

  async function importNow(issuerId: string, der: Buffer, actor: Actor): Promise<number | null> {
    const issuer = parts.issuers().get(issuerId)
    if (issuer === undefined)
      throw new Problem(anchorProblems, 'issuer_unknown', `no issuer ${issuerId} is registered`)
    if (issuer.kind !== 'foreign')
      throw new Problem(anchorProblems, 'issuer_own', 'only CAs of others have CRLs to import')
    try {
      const list = await readRevocationList(der, issuer.certificate)
      if (list.thisUpdate > now() + RETRY_MS) throw new CrlError('it is of the future')
      const uncovered = await parts.uncovered(issuer, list.coverage)
      if (uncovered !== null) throw new CrlError(uncovered)
      const { entries: _, coverage: __, ...facts } = list
      const hash = await hashOf(der)
      const crlId = await writer.beginCrl(issuerId, { ...facts, hash })
      if (crlId === null) return await revokeListedKeys(issuerId, actor)
      const counted = await write(crlId, list.entries())
      const epoch = await writer.putCrlInForce(crlId, counted, actor)
      log.crlImported(issuerId, counted.entries)
      return (await revokeListedKeys(issuerId, actor)) ?? epoch
    } catch (error) {
      throw error instanceof CrlError ? invalid(error.message) : error
    } finally {
      await refreshDue()
    }
  }

  /** Where a crash or a locked registry ends it, the next look or start goes on. */
  async function revokeListedKeys(issuerId: string, actor: Actor): Promise<number | null> {
    unfinished.add(issuerId)
    let epoch: number | null = null
    for (let after: string | null = ''; after !== null && !loop.isStopping(); ) {
      const slice = writer.keysListedAfter(issuerId, after, SLICE)
      for (let at = 0; at < slice.serialNumbers.length && !loop.isStopping(); at += KEYS_AT_ONCE) {
        const few = slice.serialNumbers.slice(at, at + KEYS_AT_ONCE)
        epoch = (await writer.revokeListedKeys(issuerId, few, actor)) ?? epoch
      }
      after = slice.next
      await setImmediate()
    }
    unfinished.delete(issuerId)
    return epoch
  }

  async function finishRevocations(): Promise<void> {
    for (const issuerId of unfinished) await revokeListedKeys(issuerId, clock)
  }

  async function write(crlId: number, entries: Generator<Revocation, void>) {
    const counted = { entries: 0, kept: 0 }
    for (let slice = take(entries); slice.length > 0; slice = take(entries)) {
      const written = await writer.writeRevocations(crlId, slice)
      counted.entries += written.entries
      counted.kept += written.kept
      await setImmediate()
    }
    return counted
  }

  /** What is in force no more, or never came to be. */
  async function refreshDue(): Promise<void> {
    try {
      while ((await writer.dropCrls(SLICE)) >= SLICE) await setImmediate()
    } catch (error) {
      // It goes with the next one.
      log.crlLookFailed(error)
    }
  }

  async function refresh(issuerId: string, actor: Actor): Promise<number | null> {
    const [status] = await parts.statuses(issuerId)
    if (status?.url == null) {
      throw new Problem(
        anchorProblems,
        'crl_source_refused',
        'no URL is set for this issuer: rollcall issuer crl source ID URL',
      )
    }
    try {
      const epoch = await importCrl(issuerId, await parts.fetch(status.url), actor)
      await writer.noteCrlCheck(issuerId, null)
      return epoch
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      // Whatever it failed at, the next try is not before its time.
      if (!isRegistryUnavailable(error))
        await writer.noteCrlCheck(issuerId, wordsFor(error, why).slice(0, 500))
      if (!(error instanceof OutboundFault)) throw error
      throw new Problem(anchorProblems, error.refused ? 'crl_source_refused' : 'crl_unreachable', why)
    }
  }

  async function step(): Promise<void> {
    try {
      if (unfinished.size > 0) await alone(finishRevocations)
      for (const status of await parts.statuses()) {
        if (loop.isStopping()) return
        if (!isDue(status, now())) continue
        await refresh(status.issuerId, clock).catch(error =>
          log.crlNotRefreshed(status.issuerId, error instanceof Error ? error.message : String(error)),
        )
      }
      const stale = (await parts.statuses()).filter(status => isStale(status, now()))
      staleCount = stale.length
      log.crlsStale(stale.map(({ issuerId }) => issuerId))
    } catch (error) {
      log.crlLookFailed(error)
    }
  }

  const loop = periodic(step, parts.everyMs, parts.leads)
  // Never beside an import: a list that is being written is not in force either.
  last = refreshDue()
    .then(async () => {
      for (const { issuerId, inForce } of await parts.statuses())
        if (inForce !== null) unfinished.add(issuerId)
      await finishRevocations()
    })
    .catch(log.crlLookFailed)
  void last.then(loop.look)
  return {
    importCrl,
    refresh,
    staleCount: () => staleCount,
    look: loop.look,
    async stop() {
      await loop.stop()
      await last
    },
  }
}

/** What is shown to operators of a failure: of one that nobody foresaw, that it was one. */
function wordsFor(error: unknown, why: string): string {
  const foreseen = error instanceof OutboundFault || error instanceof Problem || error instanceof Conflict
  return foreseen ? why : 'the service failed at it: its log says at what'
}

/** Four times in the life of a list, within bounds; soon again after a failure. A clock that stepped back is no reason to wait. */
function isDue({ url, checkedAt, error, inForce }: IssuerCrlStatus, now: number): boolean {
  if (url === null) return false
  if (checkedAt === null || checkedAt > now) return true
  const life = (inForce?.nextUpdate ?? 0) - (inForce?.thisUpdate ?? 0)
  const interval = Math.min(REFRESH_MS.most, Math.max(REFRESH_MS.least, life / 4))
  return now - checkedAt >= (error === null ? interval : RETRY_MS)
}

/** SHA-256 in hex, a slice in a turn of the event loop. */
async function hashOf(der: Buffer): Promise<string> {
  const hash = createHash('sha256')
  for (let at = 0; at < der.length; at += HASHED_BYTES) {
    hash.update(der.subarray(at, at + HASHED_BYTES))
    await setImmediate()
  }
  return hash.digest('hex')
}

function take(entries: Generator<Revocation, void>): Revocation[] {
  const slice: Revocation[] = []
  for (let next = entries.next(); !next.done; next = entries.next()) {
    slice.push(next.value)
    if (slice.length === SLICE) break
  }
  return slice
}

function invalid(message: string): Problem {
  return new Problem(anchorProblems, 'crl_invalid', message, { errors: [{ path: 'crl', message }] })
}

/** DER of a CRL that was sent as PEM, or as base64 of DER; what else it may be is found out when it is read. Throws the problem `crl_invalid`. */
export function crlOf(text: string): Buffer {
  if (text.includes('PRIVATE KEY')) throw invalid('the text contains a private key: send the CRL alone')
  const [begin, end] = ['-----BEGIN X509 CRL-----', '-----END X509 CRL-----']
  const at = text.indexOf(begin)
  const body = at === -1 ? text : text.slice(at + begin.length, text.indexOf(end, at))
  const der = Buffer.from(body, 'base64')
  if (der.length > CRL_BYTES_MAX) throw invalid(`it is longer than ${CRL_BYTES_MAX} bytes`)
  return der
}
