// What a crash leaves between deciding and listing: decisions of which nothing came. They are closed at the next start, so
// that the record says of every serial number what became of it, and none is ever signed again.
import { type Actor, appendAudit } from '../audit/audit.ts'
import type { Registry } from '../open.ts'
import { transact } from '../transact.ts'

type IssuanceReconciler = {
  /**
   * Closes what is open for so long (ms) and gives how many there were. Only before anything is issued: else it takes what is under way.
   */
  abandonIssuances(actor: Actor, openForMs?: number): Promise<number>
}

/** One transaction closes so many. */
const AT_ONCE = 100

export function createIssuanceReconciler(registry: Registry, now: () => number): IssuanceReconciler {
  const abandonSome = (actor: Actor, openForMs: number) =>
    transact(registry, async transaction => {
      const at = now()
      const open = await transaction
        .selectFrom('issuances')
        .select(['serial_number as serialNumber', 'device_id as deviceId', 'purpose'])
        .where('fingerprint', 'is', null)
        .where('abandoned_at', 'is', null)
        .where('intended_at', '<=', openForMs === 0 ? Number.MAX_SAFE_INTEGER : at - openForMs)
        .limit(AT_ONCE)
        .execute()
      for (const { serialNumber, deviceId, purpose } of open) {
        await transaction
          .updateTable('issuances')
          .set({ abandoned_at: at })
          .where('serial_number', '=', serialNumber)
          .execute()
        const detail = { serialNumber, purpose }
        await appendAudit(transaction, { at, actor, action: 'certificate.abandon', target: deviceId, detail })
      }
      return open.length
    })

  return {
    async abandonIssuances(actor, openForMs = 0) {
      for (let total = 0; ; ) {
        const abandoned = await abandonSome(actor, openForMs)
        total += abandoned
        if (abandoned < AT_ONCE) return total
      }
    },
  }
}
