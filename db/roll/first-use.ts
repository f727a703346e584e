// The first CONNECT of a certificate, put on record: it becomes active, so does its device, and what was listed before it
// is superseded. One transaction with audit and change rows; sessions of the superseded hear of it through the change feed.
import type { Database } from 'better-sqlite3'
import { type Actor, prepareAppendAudit } from '../audit/audit.ts'
import { GRACE_MS } from './deadlines.ts'
import { fromIn } from './transitions.ts'

export type UseNote = { fingerprint: string; deviceId: string; at: number }

const broker: Actor = { name: 'broker', kind: 'service' }

/**
 * Prepares the verb that writes down first uses. Certificates of the device that were listed before become `superseded`,
 * with a day's grace; with none where the new one is there for a compromised key. Writing a use again changes nothing.
 */
export function prepareFirstUses(sqlite: Database): (notes: UseNote[]) => void {
  // One that was approved is active before anybody used it.
  const useCertificate = sqlite.prepare(
    `UPDATE certificates SET status = 'active', first_used_at = @at
     WHERE fingerprint = @fingerprint AND first_used_at IS NULL AND status IN (${fromIn('use')}, 'active')`,
  )
  const useDevice = sqlite.prepare(
    `UPDATE devices SET state = 'active', updated_at = @at WHERE id = @deviceId AND state = 'registered'`,
  )
  const dropLapse = sqlite.prepare("DELETE FROM deadlines WHERE fingerprint = ? AND kind = 'lapse'")
  const isForCompromise = sqlite
    .prepare<[string], number>('SELECT compromise FROM renewals WHERE fingerprint = ?')
    .pluck()
  // Older is what was listed earlier: clocks step back, the order of rows does not.
  const supersede = sqlite
    .prepare<UseNote & { graceUntil: number }, string>(
      `UPDATE certificates SET status = 'superseded', grace_until = @graceUntil
       WHERE device_id = @deviceId AND status IN (${fromIn('supersede')}) AND not_after > @at
         AND rowid < (SELECT rowid FROM certificates WHERE fingerprint = @fingerprint)
       RETURNING fingerprint`,
    )
    .pluck()
  const dropDeadlines = sqlite.prepare('DELETE FROM deadlines WHERE fingerprint = ?')
  const retireAt = sqlite.prepare("INSERT INTO deadlines (fingerprint, kind, due_at) VALUES (?, 'retire', ?)")
  const change = sqlite.prepare(
    `INSERT INTO changes (at, kind, device_id, fingerprint) VALUES (@at, 'certificate', @deviceId, @fingerprint)`,
  )
  const audit = prepareAppendAudit(sqlite)

  function supersedeOlder(note: UseNote): void {
    const graceUntil = note.at + (isForCompromise.get(note.fingerprint) === 1 ? 0 : GRACE_MS)
    for (const fingerprint of supersede.all({ ...note, graceUntil })) {
      audit({
        at: note.at,
        actor: broker,
        action: 'certificate.supersede',
        target: fingerprint,
        detail: { deviceId: note.deviceId, by: note.fingerprint, graceUntil },
      })
      dropDeadlines.run(fingerprint)
      retireAt.run(fingerprint, graceUntil)
      change.run({ at: note.at, deviceId: note.deviceId, fingerprint })
    }
  }

  return sqlite.transaction((notes: UseNote[]) => {
    for (const note of notes) {
      const { at, fingerprint, deviceId } = note
      if (useCertificate.run({ fingerprint, at }).changes > 0) {
        audit({ at, actor: broker, action: 'certificate.activate', target: fingerprint })
        dropLapse.run(fingerprint)
        supersedeOlder(note)
      }
      if (useDevice.run({ deviceId, at }).changes > 0) {
        audit({ at, actor: broker, action: 'device.activate', target: deviceId })
      }
    }
  }).immediate
}
