// Log lines and figures of the audit log: what was signed, what was found tampered with, and where a checkpoint could not be kept.
import type { Logger } from 'pino'
import type { AuditFault } from '../../db/audit/audit-fault.ts'
import type { ProvisioningMetrics } from '../metrics.ts'

export function auditEvents(logger: Logger, metrics: ProvisioningMetrics) {
  return {
    auditSealed: (fields: { checkpoint: number; seq: number; hash: string }) => {
      metrics.auditCheckpoints.inc()
      metrics.auditTampered.set(0)
      // In the log, too: logs kept elsewhere are a witness of every checkpoint.
      logger.info(fields, 'audit checkpoint signed')
    },
    auditTampered: (fault: AuditFault) => {
      metrics.auditTampered.set(1)
      logger.error({ fault }, 'audit log tampered with: no checkpoint signed')
    },
    auditCheckpointKept: () => metrics.auditCheckpointFile.set(1),
    auditCheckpointLost: (file: string, how: 'missing' | 'unreadable') =>
      logger.warn(
        { file, how },
        'audit checkpoint file lost: made anew from the registry; expected once, after an upgrade or a restore',
      ),
    auditCheckpointNotKept: (file: string, error: unknown) => {
      metrics.auditCheckpointFile.set(0)
      logger.error({ file, err: error }, 'audit checkpoint file not written')
    },
    auditSealFailed: (error: unknown) => logger.error({ err: error }, 'audit checkpoint not signed'),
  }
}
