// A roll of any size in a registry, for benchmarks alone: rows written by SQL in one transaction. The DER of each certificate
// is distinct and parses, but nobody signed it: the registry never looks at a signature.
import { randomInt } from 'node:crypto'
import type { Registry } from '../db/index.ts'
import { certificateFacts, fingerprintOf } from '../pki/certificate-facts.ts'
import { renewalOpensAt } from '../pki/renewal-window.ts'
import { createAuthority } from '../test/harness/authority.ts'

const DAY_MS = 86_400_000
const SERIAL = '5a'.repeat(16)
const NAME = 'fleet-0000000'

/** Gives the fingerprints. Validities end over the next 90 days, so that a third is due for renewal at any time. */
export async function fillRoll(registry: Registry, issuerId: string, count: number): Promise<string[]> {
  const { sqlite } = registry
  const now = Date.now()
  const authority = await createAuthority('Bench CA')
  const template = (await authority.issue({ name: NAME, serialNumber: SERIAL })).der
  const facts = certificateFacts(template)
  const serialAt = template.indexOf(Buffer.from(SERIAL, 'hex'))
  const nameAt = template.indexOf(NAME)
  const device = sqlite.prepare(
    'INSERT INTO devices (id, state, attributes, created_at, updated_at) VALUES (?, ?, ?, ?, ?)',
  )
  const group = sqlite.prepare('INSERT INTO device_groups (device_id, name) VALUES (?, ?)')
  const certificate = sqlite.prepare(
    `INSERT INTO certificates (fingerprint, device_id, issuer_id, trust, status, revocation_reason, serial_number, subject,
       key_type, spki_hash, client_auth, is_ca, not_before, not_after, der, issued_at, first_used_at, revoked_at)
     VALUES (?, ?, ?, 'chained', ?, ?, ?, ?, 'p256', ?, 1, 0, ?, ?, ?, ?, ?, ?)`,
  )
  const key = sqlite.prepare('INSERT INTO public_keys (spki_hash, device_id) VALUES (?, ?)')
  const deadline = sqlite.prepare('INSERT INTO deadlines (fingerprint, kind, due_at) VALUES (?, ?, ?)')
  const session = sqlite.prepare(
    `INSERT INTO live_sessions (device_id, client_id, node_id, fingerprint, address, since, facts)
     VALUES (?, ?, 'bench', ?, '192.0.2.1', ?, '{}')`,
  )
  // Heard of for as long as the benchmark may take.
  const heard = now + DAY_MS
  sqlite
    .prepare(
      "INSERT OR REPLACE INTO nodes (id, started_at, seen_at, acknowledged_epoch) VALUES ('bench', ?, ?, 0)",
    )
    .run(now, heard)
  const fingerprints: string[] = []
  sqlite.pragma('synchronous = OFF')
  sqlite.pragma('cache_size = -1000000')
  sqlite
    .transaction(() => {
      for (let index = 0; index < count; index += 1) {
        const id = `fleet-${String(index).padStart(7, '0')}`
        const der = Buffer.from(template)
        der.writeUInt32BE(index, serialAt + 12)
        der.write(id, nameAt, 'latin1')
        const fingerprint = fingerprintOf(der)
        fingerprints.push(fingerprint)
        const notAfter = now + randomInt(1, 90 * DAY_MS)
        const notBefore = notAfter - 90 * DAY_MS
        const status = statusOf(index)
        const attributes = JSON.stringify({
          site: index % 2 === 0 ? 'north' : 'south',
          serial: `sn-${index}`,
        })
        device.run(id, index % 1_000 === 7 ? 'suspended' : 'active', attributes, notBefore, notBefore)
        if (index % 10 === 5 && index < count / 2) session.run(id, id, fingerprint, now)
        group.run(id, `site-${index % 100}`)
        const revoked = status === 'revoked'
        certificate.run(
          fingerprint,
          id,
          issuerId,
          status,
          revoked ? 'superseded' : null,
          der.toString('hex', serialAt, serialAt + 16),
          `CN=${id}`,
          `${facts.spkiHash.slice(0, 56)}${index.toString(16).padStart(8, '0')}`,
          notBefore,
          notAfter,
          der,
          notBefore,
          notBefore,
          revoked ? now : null,
        )
        key.run(`${facts.spkiHash.slice(0, 56)}${index.toString(16).padStart(8, '0')}`, id)
        const opensAt = renewalOpensAt({ notBefore, notAfter })
        if (status === 'active' && opensAt > now) deadline.run(fingerprint, 'expiring', opensAt)
      }
    })
    .immediate()
  sqlite.pragma('wal_checkpoint(TRUNCATE)')
  sqlite.pragma('synchronous = FULL')
  sqlite.pragma('cache_size = -2000')
  return fingerprints
}

function statusOf(index: number): 'active' | 'issued' | 'revoked' {
  if (index % 50 === 3) return 'revoked'
  return index % 20 === 1 ? 'issued' : 'active'
}
