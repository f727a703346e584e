// Identities that must be turned away, one kind for each way of arriving without a right to enter. Made with the help
// of the API (an unlisted or expired certificate of our own CA cannot be forged) and with keys made here.
import type { Api } from './api.ts'
import type { EnrollmentOptions as Options } from './enroll-fleet.ts'
import { type DeviceAnswer, enroll, ensureDevice, findCertificate, obtainIdentity } from './enroll-fleet.ts'
import { forgeSelfSigned, forgeWithForeignCa, type Identity, identityFrom, makeRequest } from './identity.ts'
import { refusal } from './refusal.ts'

export const rogueKinds = [
  'unlisted',
  'foreign-ca',
  'self-signed',
  'expired',
  'revoked',
  'suspended',
  'no-certificate',
  'stolen-client-id',
] as const
export type RogueKind = (typeof rogueKinds)[number]

/** Only the API of a registry can prepare most of them. */
type EnrollmentOptions = Options & { api: Api }

/** How a rogue will arrive. */
type Rogue = {
  kind: RogueKind
  /** Its own device; null where it has none and only pretends. */
  deviceId: string | null
  clientId: string
  /** Null to arrive without a certificate. */
  credentials: Identity | null
}

/** What one sentence says of each kind, for reports. */

/** One rogue; `victim` is a listed device whose names are borrowed. */
export async function prepareRogue(
  kind: RogueKind,
  ownId: string,
  victim: Identity,
  options: EnrollmentOptions,
): Promise<Rogue> {
  const as = (deviceId: string | null, clientId: string, credentials: Identity | null): Rogue => {
    return { kind, deviceId, clientId, credentials }
  }
  switch (kind) {
    case 'unlisted':
    case 'expired':
      return as(ownId, ownId, await canary(kind, ownId, options))
    case 'foreign-ca':
      return as(null, victim.deviceId, await forgeWithForeignCa(victim, options.keyType))
    case 'self-signed':
      return as(null, victim.deviceId, await forgeSelfSigned(victim, options.keyType))
    case 'revoked':
      return as(ownId, ownId, await revokedIdentity(ownId, options))
    case 'suspended':
      return as(ownId, ownId, await suspendedIdentity(ownId, options))
    case 'no-certificate':
      return as(null, victim.deviceId, null)
    case 'stolen-client-id':
      return as(ownId, victim.deviceId, (await obtainIdentity(ownId, options)).identity)
  }
}

async function canary(
  kind: 'unlisted' | 'expired',
  id: string,
  options: EnrollmentOptions,
): Promise<Identity> {
  await ensureDevice(options.api, id)
  const { key, csr } = await makeRequest(id, options.keyType)
  const answer = await options.api.call<{ certificate: string; chain: string[] }>(
    'POST',
    `/v1/devices/${id}/canaries`,
    { csr, kind },
  )
  if (answer.problem) throw refusal(`making the ${kind} rogue`, answer.status, answer.problem)
  return identityFrom(id, key, [answer.body.certificate, ...answer.body.chain])
}

async function revokedIdentity(id: string, options: EnrollmentOptions): Promise<Identity> {
  const kept = await options.store.load(id)
  if (kept && kept.notAfter > options.neededUntil) {
    // One that an earlier run had revoked serves again: rogues should not fill the registry.
    if ((await findCertificate(options.api, kept.fingerprint))?.status === 'revoked') return kept
  }
  await ensureDevice(options.api, id)
  const identity = await enroll(id, options)
  await options.store.save(identity)
  const path = `/v1/certificates/${identity.fingerprint}/revoke`
  const answer = await options.api.call('POST', path, { reason: 'keyCompromise' })
  if (answer.problem) throw refusal('revoking the revoked rogue', answer.status, answer.problem)
  return identity
}

async function suspendedIdentity(id: string, options: EnrollmentOptions): Promise<Identity> {
  // Active first: a suspended device may not enroll, and whether it must is only known by asking.
  if ((await deviceState(options.api, id)) === 'suspended') await turn(options.api, id, 'activate')
  const { identity } = await obtainIdentity(id, options)
  await turn(options.api, id, 'suspend')
  return identity
}

async function deviceState(api: Api, id: string): Promise<string | null> {
  const answer = await api.call<DeviceAnswer>('GET', `/v1/devices/${id}`)
  if (answer.status === 404) return null
  if (answer.problem) throw refusal(`looking up ${id}`, answer.status, answer.problem)
  return answer.body.state
}

async function turn(api: Api, id: string, verb: 'activate' | 'suspend'): Promise<void> {
  const answer = await api.call('POST', `/v1/devices/${id}/${verb}`)
  if (answer.problem) throw refusal(`${verb} of ${id}`, answer.status, answer.problem)
}
