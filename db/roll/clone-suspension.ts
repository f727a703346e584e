// Holds a certificate that two are using, and every other of the same key, which both of them have: statuses, audit rows with
// the evidence, and change rows in one transaction.
import type { Database } from 'better-sqlite3'
import { prepareAppendAudit } from '../audit/audit.ts'
import { fromIn } from './transitions.ts'

export type CloneEvidence = {
  fingerprint: string
  deviceId: string
  kind: string
  takeovers: number
  addresses: string[]
  at: number
}

/** Prepares the verb. What does not admit any more stays as it is; the sessions hear through the change feed. */
export function prepareCloneSuspension(sqlite: Database): (evidence: CloneEvidence) => void {
  const suspend = sqlite
    .prepare<{ fingerprint: string; deviceId: string }, string>(
      `UPDATE certificates SET status = 'suspended'
       WHERE device_id = @deviceId AND status IN (${fromIn('hold')})
         AND spki_hash = (SELECT spki_hash FROM certificates WHERE fingerprint = @fingerprint)
       RETURNING fingerprint`,
    )
    .pluck()
  const change = sqlite.prepare(
    `INSERT INTO changes (at, kind, device_id, fingerprint) VALUES (@at, 'certificate', @deviceId, @fingerprint)`,
  )
  const audit = prepareAppendAudit(sqlite)
  return sqlite.transaction((evidence: CloneEvidence) => {
    const { fingerprint: named, deviceId, at, ...detail } = evidence
    for (const fingerprint of suspend.all({ fingerprint: named, deviceId })) {
      audit({
        at,
        actor: { name: 'broker', kind: 'service' },
        action: 'certificate.suspend',
        target: fingerprint,
        reason: 'certificate_cloned',
        detail: { deviceId, ...detail, ...(fingerprint === named ? {} : { because: 'key', named }) },
      })
      change.run({ at, deviceId, fingerprint })
    }
  }).immediate
}
