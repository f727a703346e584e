// Log lines and figures of our own CA: keys that are missing, and its end.
import type { Logger } from 'pino'
import type { ProvisioningMetrics } from '../metrics.ts'

export function caEvents(logger: Logger, metrics: ProvisioningMetrics) {
  return {
    caKeyMissing: (issuerId: string) =>
      logger.error({ issuerId }, 'key of a former CA missing: its CRL and OCSP end'),
    activeCaKey(issuerId: string, isMissing: boolean, error: unknown) {
      metrics.issuingKeyMissing.set(isMissing ? 1 : 0)
      const fields = { issuerId, ...(error !== null && { error: (error as Error).message }) }
      if (isMissing)
        logger.error(
          fields,
          'key of the CA that issues missing here: copy it to keys/ from the service that made it',
        )
      else logger.info(fields, 'the CA that another service handed over to issues here, too')
    },
    caNotRefreshed: (error: unknown) =>
      logger.error({ err: error }, 'which CA issues could not be looked up'),
    caLooked: (issuerId: string, notAfter: number, soon: boolean) => {
      metrics.caEnds.set(notAfter / 1000)
      const fields = { issuerId, notAfter: new Date(notAfter).toISOString() }
      if (soon) logger.warn(fields, 'the issuing CA ends soon: rollcall ca rotate')
    },
  }
}
