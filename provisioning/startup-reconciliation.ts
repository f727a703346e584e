// What a start settles on record before anything is served: what a crash left half issued, and whether certificates that
// RFC 5280 forbids to rely on are admitted on.
import type { Registry, RegistryWriter } from '../db/index.ts'
import { countGraced } from '../db/roll/certificate-grace.ts'
import type { Events } from './logging/log.ts'

const ACTOR = { name: 'provisioning', kind: 'service' } as const

export async function reconcileAtStartup(parts: {
  registry: Registry
  writer: Pick<RegistryWriter, 'abandonIssuances' | 'endCertificateGrace'>
  certificateGrace: boolean
  events: Pick<Events, 'issuancesAbandoned' | 'certificatesGraced' | 'certificateGraceEnded'>
}): Promise<void> {
  const { registry, writer, events } = parts
  const abandoned = await writer.abandonIssuances(ACTOR)
  if (abandoned > 0) events.issuancesAbandoned(abandoned)
  const graced = countGraced(registry)
  if (graced === 0) return
  if (parts.certificateGrace) return events.certificatesGraced(graced)
  events.certificateGraceEnded(await writer.endCertificateGrace(ACTOR))
}
