// Lists a fleet: uses stored identities that are still valid, and enrolls the other devices with new keys.
// Knows nothing of MQTT.
import { randomUUID } from 'node:crypto'
import { forEachBounded } from '../schedule.ts'
import type { Api } from './api.ts'
import { type EstServer, enrollByEst } from './est.ts'
import { type Identity, identityFrom, keyTypeOf, makeRequest } from './identity.ts'
import type { IdentityStore } from './identity-store.ts'
import { AnswerLost, refusal } from './refusal.ts'
import type { KeyType } from './signing-keys.ts'
import { enrollByTpm } from './tpm.ts'

export type EnrollmentOptions = {
  /** Null where devices enroll at an EST server that is not ours: nothing is registered beforehand or looked up. */
  api: Api | null
  store: IdentityStore
  keyType: KeyType
  concurrency: number
  /** A kept certificate must still be valid at this time, so that it does not expire during the run. */
  neededUntil: Date
  /** Devices enroll by themselves, there. */
  est?: EstServer
  /** Devices prove their keys by TPMs. */
  tpm?: boolean
  /** What the devices are registered with. */
  attributes?: Record<string, string>
  groups?: readonly string[]
  /** Every first answer to an enrollment is lost; counted here. */
  lostAnswers?: { lost: number; recovered: number }
  signal?: AbortSignal
  onProgress?: (done: number, total: number) => void
}

/** Why a kept identity could not be used again. */
type RenewalCause = 'missing' | 'expiring' | 'other_key_type' | 'not_on_roll'

export function noCauses(): Record<RenewalCause, number> {
  return { missing: 0, expiring: 0, other_key_type: 0, not_on_roll: 0 }
}

type Enrollment = {
  identities: Identity[]
  reused: number
  enrolled: number
  causes: Record<RenewalCause, number>
}

/** The members of the API's answers that are used here. */
export type DeviceAnswer = { id: string; state: string }
type CertificateAnswer = { fingerprint: string; deviceId: string; status: string }
type IssuedAnswer = { certificate: string; chain: string[] }

/**
 * Identities for all `deviceIds`, in that order.
 * @throws RunFailed at the first device that cannot be enrolled; earlier devices stay enrolled.
 */
export async function enrollFleet(
  deviceIds: readonly string[],
  options: EnrollmentOptions,
): Promise<Enrollment> {
  const identities: Identity[] = new Array(deviceIds.length)
  const causes = noCauses()
  let done = 0
  let reused = 0
  await forEachBounded(
    deviceIds,
    options.concurrency,
    async (deviceId, index) => {
      const { identity, cause } = await obtainIdentity(deviceId, options)
      identities[index] = identity
      if (cause === null) reused++
      else causes[cause]++
      options.onProgress?.(++done, deviceIds.length)
    },
    options.signal,
  )
  return { identities: identities.filter(Boolean), reused, enrolled: done - reused, causes }
}

/** One identity: the kept one where it still serves, else a new one, kept before it is returned. */
export async function obtainIdentity(
  deviceId: string,
  options: EnrollmentOptions,
): Promise<{ identity: Identity; cause: RenewalCause | null }> {
  const kept = await options.store.load(deviceId)
  const cause = kept === null ? 'missing' : await whyNotAgain(kept, options)
  if (kept !== null && cause === null) return { identity: kept, cause: null }
  if (options.api) await ensureDevice(options.api, deviceId, options)
  const identity = await enroll(deviceId, options)
  await options.store.save(identity)
  return { identity, cause }
}

type Registration = { attributes?: Record<string, string>; groups?: readonly string[] }

/** Registers the device; one that exists already is fine, and joins the groups that it should be in. */
export async function ensureDevice(api: Api, deviceId: string, as: Registration = {}): Promise<void> {
  const attributes = { simulated: 'true', ...as.attributes }
  const groups = as.groups ?? []
  const answer = await api.call('POST', '/v1/devices', { id: deviceId, attributes, groups })
  if (answer.problem && answer.status !== 409) {
    throw refusal(`registering ${deviceId}`, answer.status, answer.problem)
  }
  if (answer.status === 409 && groups.length > 0) await joinGroups(api, deviceId, groups)
}

async function joinGroups(api: Api, deviceId: string, groups: readonly string[]): Promise<void> {
  const path = `/v1/devices/${deviceId}`
  const known = await api.call<{ groups?: string[] }>('GET', path)
  const has = known.body.groups ?? []
  const missing = groups.filter(group => !has.includes(group))
  if (missing.length === 0) return
  const extra = known.etag === null ? {} : { ifMatch: known.etag }
  const change = await api.call('PATCH', path, { groups: [...has, ...missing] }, extra)
  if (change.problem) throw refusal(`putting ${deviceId} into its groups`, change.status, change.problem)
}

/** A new key and a certificate for it. The key is made here and never sent. */
export async function enroll(
  deviceId: string,
  options: Pick<EnrollmentOptions, 'api' | 'keyType' | 'lostAnswers' | 'est' | 'tpm'>,
): Promise<Identity> {
  const { api, keyType, lostAnswers, est, tpm } = options
  if (est) return enrollByEst(deviceId, keyType, est)
  if (!api) throw new Error('neither an API nor an EST server to enroll at')
  if (tpm) return enrollByTpm(deviceId, api)
  const { key, csr } = await makeRequest(deviceId, keyType)
  const idempotencyKey = randomUUID()
  const ask = (loseAnswer: boolean) =>
    api.call<IssuedAnswer>(
      'POST',
      `/v1/devices/${deviceId}/certificates`,
      { csr },
      { idempotencyKey, loseAnswer },
    )
  if (lostAnswers) {
    await ask(true).catch(error => {
      if (!(error instanceof AnswerLost)) throw error
      lostAnswers.lost++
    })
  }
  const answer = await ask(false)
  if (answer.problem) throw refusal(`enrolling ${deviceId}`, answer.status, answer.problem)
  if (lostAnswers) lostAnswers.recovered++
  return identityFrom(deviceId, key, [answer.body.certificate, ...answer.body.chain])
}

/** What the registry has on a certificate; null where it knows none of that fingerprint. */
export async function findCertificate(api: Api, fingerprint: string): Promise<CertificateAnswer | null> {
  const answer = await api.call<CertificateAnswer>('GET', `/v1/certificates/${fingerprint}`)
  if (answer.status === 404) return null
  if (answer.problem) throw refusal(`looking up certificate ${fingerprint}`, answer.status, answer.problem)
  return answer.body
}

async function whyNotAgain(kept: Identity, options: EnrollmentOptions): Promise<RenewalCause | null> {
  if (kept.notAfter <= options.neededUntil) return 'expiring'
  if (keyTypeOf(kept.certificates) !== options.keyType) return 'other_key_type'
  if (!options.api) return null
  const certificate = await findCertificate(options.api, kept.fingerprint)
  // A superseded certificate is admitted for a while yet, but a new run should not start on its last hours.
  const admits = certificate?.status === 'active' || certificate?.status === 'issued'
  return admits && certificate.deviceId === kept.deviceId ? null : 'not_on_roll'
}
