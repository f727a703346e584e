// Certificates that are trusted for themselves, yet signed by a CA on record: they stay bound to it, so that pinning goes round
// neither its CRL nor its being disabled. That CA is read from the certificate, in every way of listing it.
import { X509Certificate } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import type { Transaction } from 'kysely'
import { fingerprintOf } from '../../pki/certificate-facts.ts'
import { findIssuer } from '../../pki/chain.ts'
import { type Actor, appendAudit } from '../audit/audit.ts'
import { appendChange } from '../change-feed.ts'
import { type Issuer, readIssuers } from '../issuers/issuer-store.ts'
import type { Registry } from '../open.ts'
import type { Schema } from '../schema.ts'
import { rowsOf, run } from '../statement.ts'
import { transact } from '../transact.ts'

type PinnedWriter = {
  /**
   * Binds each pinned certificate that a CA on record signed to this CA, with an audit and a change row. Gives the epoch of the
   * last change, null where nothing was bound, and the fingerprints that could not be bound because the CA gave their serial
   * number twice.
   */
  bindPinned(actor: Actor): Promise<{ bound: number; epoch: number | null; twins: string[] }>
}

/** Each is parsed and compared with every CA: some 50 µs. */
const SLICE = 50

type Pinned = { fingerprint: string; deviceId: string; serialNumber: string; der: Buffer }

/** By fingerprint. */
const parsed = new Map<string, X509Certificate>()
const PARSED_MAX = 1_000

/** The CA on record that signed a certificate, or null. */
export async function signerOnRecord(transaction: Transaction<Schema>, der: Buffer): Promise<string | null> {
  const rows = await rowsOf<{ id: string; der: Buffer }>(
    transaction,
    'SELECT id, der FROM issuers UNION ALL SELECT issuer_id, der FROM replaced_issuer_certificates ORDER BY id',
  )
  const issuers = rows.map(row => ({
    ...{ id: row.id, parentId: null, notBefore: 0, notAfter: 0 },
    certificate: certificateOf(row.der),
  }))
  return findIssuer(new X509Certificate(der), issuers)?.id ?? null
}

function certificateOf(der: Buffer): X509Certificate {
  const fingerprint = fingerprintOf(der)
  const known = parsed.get(fingerprint)
  if (known !== undefined) return known
  const certificate = new X509Certificate(der)
  if (parsed.size < PARSED_MAX) parsed.set(fingerprint, certificate)
  return certificate
}

export function createPinnedWriter(registry: Registry, now: () => number): PinnedWriter {
  const unbound = registry.sqlite.prepare<[string, number], Pinned>(
    `SELECT fingerprint, device_id AS deviceId, serial_number AS serialNumber, der FROM certificates
     WHERE trust = 'pinned' AND issuer_id IS NULL AND fingerprint > ? ORDER BY fingerprint LIMIT ?`,
  )
  return {
    async bindPinned(actor) {
      const twins: string[] = []
      let [bound, after] = [0, '']
      let epoch: number | null = null
      for (;;) {
        const slice = unbound.all(after, SLICE)
        if (slice.length === 0) return { bound, epoch, twins }
        after = slice.at(-1)!.fingerprint
        const signed = signedOf(slice, readIssuers(registry))
        if (signed.length > 0) {
          const done = await transact(registry, transaction => bind(transaction, signed, actor, now()))
          bound += done.bound
          epoch = done.epoch ?? epoch
          twins.push(...done.twins)
        }
        await setImmediate()
      }
    },
  }
}

function signedOf(slice: readonly Pinned[], issuers: ReadonlyMap<string, Issuer>) {
  return slice.flatMap(pinned => {
    const issuer = findIssuer(new X509Certificate(pinned.der), issuers.values())
    return issuer === null ? [] : [{ ...pinned, issuerId: issuer.id }]
  })
}

async function bind(
  transaction: Transaction<Schema>,
  signed: readonly (Pinned & { issuerId: string })[],
  actor: Actor,
  at: number,
): Promise<{ bound: number; epoch: number | null; twins: string[] }> {
  const twins: string[] = []
  let epoch: number | null = null
  let bound = 0
  for (const { fingerprint, deviceId, serialNumber, issuerId } of signed) {
    const taken = await rowsOf(
      transaction,
      'SELECT 1 FROM certificates WHERE issuer_id = ? AND serial_number = ?',
      issuerId,
      serialNumber,
    )
    if (taken.length > 0) {
      twins.push(fingerprint)
      continue
    }
    const changed = await run(
      transaction,
      'UPDATE certificates SET issuer_id = ? WHERE fingerprint = ? AND issuer_id IS NULL',
      issuerId,
      fingerprint,
    )
    // It was seen before its own transaction ended, which was undone.
    if (changed === 0) continue
    bound += 1
    await appendAudit(transaction, {
      at,
      actor,
      action: 'certificate.bind',
      target: fingerprint,
      detail: { deviceId, issuerId },
    })
    epoch = await appendChange(transaction, { kind: 'certificate', at, fingerprint, deviceId })
  }
  return { bound, epoch, twins }
}
