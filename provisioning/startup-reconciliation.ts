// What a start settles on record before anything is served: what a crash left half issued, and whether certificates that
// RFC 5280 forbids to rely on are admitted on.
import type { Registry, RegistryWriter } from '../db/index.ts'
import { countGraced } from '../db/roll/certificate-grace.ts'
import type { Log } from './logging/log.ts'

/** No issuance takes so long that a service which is alive has it under way. */
const OTHERS_MAY_TAKE_MS = 15 * 60_000
const ACTOR = { name: 'provisioning', kind: 'service' } as const

export async function reconcileAtStartup(parts: {
  registry: Registry
  /** Whether other services may have issuances under way. */
  shared: boolean
  writer: Pick<RegistryWriter, 'abandonIssuances' | 'endCertificateGrace'>
  certificateGrace: boolean
  log: Pick<Log, 'issuancesAbandoned' | 'certificatesGraced' | 'certificateGraceEnded'>
}): Promise<void> {
  const { registry, writer, log } = parts
  const abandoned = await writer.abandonIssuances(ACTOR, parts.shared ? OTHERS_MAY_TAKE_MS : 0)
  if (abandoned > 0) log.issuancesAbandoned(abandoned)
  const graced = countGraced(registry)
  if (graced === 0) return
  if (parts.certificateGrace) return log.certificatesGraced(graced)
  log.certificateGraceEnded(await writer.endCertificateGrace(ACTOR))
}
