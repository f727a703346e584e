// Holds a certificate that two are using: status, audit row with the evidence, and change row in one transaction.
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

/** Prepares the verb. A certificate that is not in use any more stays as it is; the sessions hear through the change feed. */
export function prepareCloneSuspension(sqlite: Database): (evidence: CloneEvidence) => void {
  const suspend = sqlite.prepare(
    `UPDATE certificates SET status = 'suspended' WHERE fingerprint = ? AND status IN (${fromIn('suspend')})`,
  )
  const change = sqlite.prepare(
    `INSERT INTO changes (at, kind, device_id, fingerprint) VALUES (@at, 'certificate', @deviceId, @fingerprint)`,
  )
  const audit = prepareAppendAudit(sqlite)
  return sqlite.transaction((evidence: CloneEvidence) => {
    const { fingerprint, deviceId, at, ...detail } = evidence
    if (suspend.run(fingerprint).changes === 0) return
    audit({
      at,
      actor: { name: 'broker', kind: 'service' },
      action: 'certificate.suspend',
      target: fingerprint,
      reason: 'certificate_cloned',
      detail: { deviceId, ...detail },
    })
    change.run({ at, deviceId, fingerprint })
  }).immediate
}
