// Keeps a current CRL for each issuing CA: made anew soon after a change, long before it ends, and kept in a file so
// that a restart serves it at once. Works in slices: a list of 100,000 entries never holds up a request.

import { createHash } from 'node:crypto'
import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import type { CrlStore, StoredCrl } from '../../db/issuers/crl-store.ts'
import type { RevocationReader } from '../../db/issuers/revocation-reader.ts'
import type { SharedFiles } from '../../db/replication/shared-files.ts'
import type { IssuingCa } from '../ca/issuing-ca.ts'
import { type Periodic, periodic } from '../periodic.ts'
import { createEntryList, signCrl } from './crl.ts'
import { revocationStatusOf } from './revocation-status.ts'

export type Crl = StoredCrl & { der: Buffer }
/** `look` makes what is due now, and never throws. `stop` finishes the list under way. */
export type CrlService = Periodic & {
  /** The newest list of an issuing CA, null until its first is made. */
  crl(issuerId: string): Crl | null
}

type CrlServiceOptions = {
  cas: () => readonly IssuingCa[]
  reader: RevocationReader
  store: CrlStore
  /** Where the lists are kept; made where missing. */
  folder: string
  /** How long a list holds. A new one is made at half of it. */
  lifetimeMs: number
  leads(): boolean
  /** Where several services share a registry: lists go there, and come from there. */
  files: Pick<SharedFiles, 'put' | 'get'> | null
  now: () => number
  onMade(made: { issuerId: string; number: number; entries: number; bytes: number; seconds: number }): void
  onFailed(error: unknown): void
}

/** Changes that come together are one list. */
const LOOK_MS = 1_000
/** After a list that took long, wait a multiple of that: a flood of revocations must not keep a core busy. */
const PAUSE_FACTOR = 4
/** A verifier with a late clock must not take the list for one of tomorrow. */
const BACKDATE_MS = 60_000
/** How long until a CA whose list could not be made is tried again. */
const FAILURE_REST_MS = 10_000
/** How long a slice may hold the event loop. */
const SLICE_MS = 8

export async function startCrlService(parts: CrlServiceOptions): Promise<CrlService> {
  const { cas, reader, store, folder, lifetimeMs, now } = parts
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const lists = new Map<string, Crl>()
  const versions = new Map<string, string>()
  const restsUntil = new Map<string, number>()
  let notBefore = 0
  for (const { id } of cas()) {
    const kept = await readKept(id)
    if (kept !== null) lists.set(id, kept)
  }

  async function readKept(issuerId: string): Promise<Crl | null> {
    const stored = store.newest(issuerId)
    if (stored === null) return null
    const der = await readFile(fileOf(issuerId)).catch(() => null)
    return der !== null && sha256(der) === stored.hash ? { ...stored, der } : null
  }

  function fileOf(issuerId: string): string {
    return join(folder, `${issuerId}.crl`)
  }

  async function lookNow(): Promise<void> {
    if (!parts.leads()) return fetchMade()
    await fetchMade()
    const version = reader.version()
    for (const ca of cas()) {
      if (loop.isStopping()) return
      const last = lists.get(ca.id)
      const due = last === undefined || isDue(last, now(), lifetimeMs)
      if (!due && versions.get(ca.id) === version) continue
      if (performance.now() < (restsUntil.get(ca.id) ?? 0)) continue
      try {
        await make(ca, last, due)
        versions.set(ca.id, version)
        restsUntil.delete(ca.id)
      } catch (error) {
        // Another CA has its list all the same.
        restsUntil.set(ca.id, performance.now() + FAILURE_REST_MS)
        parts.onFailed(error)
      }
    }
  }

  /** Takes over what another service made since. */
  async function fetchMade(): Promise<void> {
    if (parts.files === null) return
    for (const { id } of cas()) {
      const stored = store.newest(id)
      if (stored === null || lists.get(id)?.hash === stored.hash) continue
      const der = await parts.files.get(`crl ${id}`, stored.hash)
      if (der === null || sha256(der) !== stored.hash) continue
      await write(fileOf(id), der)
      lists.set(id, { ...stored, der })
    }
  }

  async function make(ca: IssuingCa, last: Crl | undefined, due: boolean): Promise<void> {
    const began = performance.now()
    const thisUpdate = now() - BACKDATE_MS
    // A certificate that ended stays on one more list (RFC 5280 §3.3).
    const list = await gather(ca.id, thisUpdate - lifetimeMs)
    // Each of these steps takes some milliseconds where the list is long.
    const entries = list.der()
    await turn()
    const entriesHash = sha256(entries)
    if (!due && last?.entriesHash === entriesHash) return
    // As the time in milliseconds, so that it only grows (RFC 5280 §5.2.3) also where an older registry was restored.
    const number = await store.takeCrlNumber(ca.id, now())
    const nextUpdate = thisUpdate + lifetimeMs
    const der = await signCrl(ca, { number, thisUpdate, nextUpdate }, entries)
    await turn()
    const stored = { number, thisUpdate, nextUpdate, entries: list.count(), entriesHash, hash: sha256(der) }
    await write(fileOf(ca.id), der)
    await parts.files?.put(`crl ${ca.id}`, stored.hash, der)
    await store.recordCrl(ca.id, stored)
    lists.set(ca.id, { ...stored, der })
    const seconds = (performance.now() - began) / 1000
    notBefore = performance.now() + seconds * 1000 * PAUSE_FACTOR
    parts.onMade({ issuerId: ca.id, number, entries: stored.entries, bytes: der.length, seconds })
  }

  async function gather(issuerId: string, from: number) {
    const list = createEntryList()
    let sliceBegan = performance.now()
    for (const rows of reader.withdrawn(issuerId, from)) {
      for (const row of rows) {
        const status = revocationStatusOf(row)
        if (!status.good) list.add({ serialNumber: row.serialNumber, ...status })
        // An entry may take as long as forty others: the clock is asked within a page, too.
        if (performance.now() - sliceBegan < SLICE_MS) continue
        await turn()
        sliceBegan = performance.now()
      }
    }
    return list
  }

  const loop = periodic(
    () => lookNow().catch(parts.onFailed),
    LOOK_MS,
    () => performance.now() >= notBefore,
  )
  // Lists that were kept are served until the next look: gathering what was withdrawn of a million would hold up this start.
  if (cas().some(({ id }) => !lists.has(id))) void loop.look()
  return { ...loop, crl: issuerId => lists.get(issuerId) ?? null }
}

/** At half of its life, or where the clock stepped back before its beginning. */
function isDue(
  { thisUpdate, nextUpdate }: { thisUpdate: number; nextUpdate: number },
  now: number,
  lifetimeMs: number,
): boolean {
  return now >= nextUpdate - lifetimeMs / 2 || now < thisUpdate || nextUpdate - thisUpdate > lifetimeMs
}

/** Whole or not at all, and without waiting for the disk on the event loop. */
async function write(file: string, content: Buffer): Promise<void> {
  const temporary = `${file}.new`
  const handle = await open(temporary, 'w', 0o644)
  try {
    await handle.writeFile(content)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(temporary, file)
}

/** Lets others have the event loop. */
function turn(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
