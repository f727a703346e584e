// Whether certificates that an older version let in, and that RFC 5280 forbids to rely on, are admitted on for now.
import type { Actor } from '../audit/audit.ts'
import { appendAudit } from '../audit/audit.ts'
import { appendChange } from '../change-feed.ts'
import type { Registry } from '../open.ts'
import { run } from '../statement.ts'
import { transact } from '../transact.ts'

type CertificateGraceWriter = {
  /** Ends the grace of all of them, with one change for everybody. Gives how many certificates that concerns. */
  endCertificateGrace(actor: Actor): Promise<number>
}

export function createCertificateGraceWriter(registry: Registry, now: () => number): CertificateGraceWriter {
  return {
    endCertificateGrace: actor =>
      transact(registry, async transaction => {
        const at = now()
        const ended = await run(
          transaction,
          'UPDATE certificates SET defect_grace = 0 WHERE defect IS NOT NULL AND defect_grace = 1',
        )
        if (ended === 0) return 0
        const detail = { certificates: ended }
        await appendAudit(transaction, { at, actor, action: 'certificate.grace_end', target: 'roll', detail })
        await appendChange(transaction, { kind: 'issuer', at })
        return ended
      }),
  }
}

/** How many certificates are admitted on that RFC 5280 forbids to rely on. */
export function countGraced({ sqlite }: Registry): number {
  return sqlite
    .prepare<[], number>('SELECT count(*) FROM certificates WHERE defect IS NOT NULL AND defect_grace = 1')
    .pluck()
    .get()!
}
