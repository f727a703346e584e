// Log lines of a registry that several machines share.
import type { Logger } from 'pino'

export function registryMessages(logger: Logger) {
  return {
    registryBehind: (error: unknown) =>
      logger.warn({ err: error }, 'the registry in PostgreSQL does not answer: nothing can be changed now'),
    registryUpgraded: (upgrade: { from: number; to: number; sequence: number }) =>
      logger.info(upgrade, 'the registry in PostgreSQL was upgraded to the schema of this version'),
    brokerNoteFailed: (error: unknown) =>
      logger.warn({ err: error }, 'what a broker noted cannot be written'),
    registryNotPruned: (error: unknown) =>
      logger.warn({ err: error }, 'rows that were deleted long ago are not removed from PostgreSQL now'),
    leaseChanged: (held: boolean) =>
      logger.info(
        { held },
        held ? 'lease taken: this process runs the jobs' : 'lease ended: another process may run the jobs',
      ),
  }
}
