// Lets devices register themselves: takes the arrivals that brokers noted, validates each as a foreign certificate, names its
// device by the anchor's template, and has it put on the roll. In doubt it refuses, and keeps the reason.

import type { Actor } from '../../db/audit/audit.ts'
import type { SelfRegistered, SelfRegistration } from '../../db/issuance/self-registration.ts'
import type { ArrivalNote } from '../../db/issuers/arrivals.ts'
import { type Issuer, issuerLine } from '../../db/issuers/issuer-store.ts'
import type { TrustAnchor } from '../../db/issuers/trust-anchors.ts'
import { isRegistryUnavailable } from '../../db/registry-error.ts'
import { Conflict } from '../../db/transact.ts'
import { certificateFacts } from '../../pki/certificate-facts.ts'
import { type CertificateProblem, readCertificate } from '../../pki/certificate-reader.ts'
import type { PqMode } from '../../pki/key-policy.ts'
import { toPem } from '../../pki/pem.ts'
import { createAttempts } from '../attempts.ts'
import { type Periodic, periodic } from '../periodic.ts'
import { validateForeignCertificate } from '../x509/foreign-certificate.ts'
import { nameDevice } from './name-template.ts'

type RegistrarParts = {
  /** The longest waiting of each issuer. */
  waiting(limit: number): ArrivalNote[]
  anchor(issuerId: string): Promise<TrustAnchor | null>
  issuers(): Map<string, Issuer>
  isDevice(id: string): Promise<boolean>
  writer: {
    registerArrival(registration: SelfRegistration, actor: Actor): Promise<SelfRegistered>
    refuseArrival(fingerprint: string, reason: string, detail: string): Promise<void>
    forgetArrivals(): Promise<void>
  }
  log: {
    selfRegistered(device: { deviceId: string; fingerprint: string; issuerId: string }, mode: string): void
    selfRegistrationRefused(device: { fingerprint: string; issuerId: string }, reason: string): void
    selfRegistrationFailed(error: unknown): void
  }
  pq: PqMode
  now: () => number
  everyMs: number
  /** Where several services share a registry, one of them does it. */
  leads(): boolean
}

type Decision = { deviceId: string; mode: string } | { reason: string; detail: string } | 'later'

/** Of each issuer in turn, so that a flood under one does not keep another waiting. */
const DECIDED_AT_ONCE = 20
const FORGET_EVERY_MS = 60_000

/** `look` decides what waits now, and never throws. `stop` finishes the decision under way. */
export function startRegistrar(parts: RegistrarParts): Periodic {
  const { writer, log, now } = parts
  const attempts = createAttempts()
  let forgottenAt = Number.NEGATIVE_INFINITY

  async function step(): Promise<void> {
    try {
      for (const arrival of parts.waiting(DECIDED_AT_ONCE)) {
        if (loop.isStopping()) return
        await settleOrGiveUp(arrival)
        // Requests come first.
        await new Promise(resolve => setImmediate(resolve))
      }
      if (Math.abs(now() - forgottenAt) < FORGET_EVERY_MS) return
      await writer.forgetArrivals()
      forgottenAt = now()
    } catch (error) {
      // What was not decided still waits.
      log.selfRegistrationFailed(error)
    }
  }

  /** What fails at one arrival keeps no other waiting: that one is refused once it has failed as often as it is tried. */
  async function settleOrGiveUp(arrival: ArrivalNote): Promise<void> {
    const { fingerprint, issuerId } = arrival
    try {
      await settle(arrival)
      attempts.succeeded(fingerprint)
    } catch (error) {
      if (isRegistryUnavailable(error)) throw error
      log.selfRegistrationFailed(error)
      if (!attempts.failed(fingerprint)) return
      await writer.refuseArrival(
        fingerprint,
        'internal_error',
        'the service failed at it: its log says at what',
      )
      log.selfRegistrationRefused({ fingerprint, issuerId }, 'internal_error')
    }
  }

  async function settle(arrival: ArrivalNote): Promise<void> {
    const { fingerprint, issuerId } = arrival
    const decision = await decide(arrival)
    if (decision === 'later') return
    if ('deviceId' in decision) {
      log.selfRegistered({ deviceId: decision.deviceId, fingerprint, issuerId }, decision.mode)
      return
    }
    await writer.refuseArrival(fingerprint, decision.reason, decision.detail)
    log.selfRegistrationRefused({ fingerprint, issuerId }, decision.reason)
  }

  async function decide(arrival: ArrivalNote): Promise<Decision> {
    const { der, issuerId } = arrival
    const issuers = parts.issuers()
    const line = issuerLine(issuerId, issuers)
    const anchor = await parts.anchor(issuerId)
    if (anchor === null || line.some(({ enabled, revoked }) => !enabled || revoked)) {
      return { reason: 'issuer_disabled', detail: 'its issuer is not an enabled trust anchor' }
    }
    if (anchor.proofFingerprint === arrival.fingerprint) {
      return {
        reason: 'certificate_invalid',
        detail: 'it proved possession of the CA key and identifies no device',
      }
    }
    const reading = readCertificate(der)
    if ('problem' in reading) return { reason: 'certificate_invalid', detail: inWords([reading.problem]) }
    const naming = named(anchor.autoRegistration.nameTemplate, der)
    if ('fault' in naming) return { reason: 'name_invalid', detail: naming.fault }
    const { deviceId } = naming
    const verdict = await validateForeignCertificate({
      pem: toPem(der, 'CERTIFICATE'),
      deviceId,
      trust: 'chained',
      issuers,
      isDevice: parts.isDevice,
      pq: parts.pq,
      now: now(),
    })
    if ('refused' in verdict) {
      return { reason: verdict.refused, detail: inWords(verdict.faults) }
    }
    if (verdict.issuerId !== issuerId)
      return { reason: 'issuer_disabled', detail: 'another issuer signed it' }
    return register({ der, deviceId, issuerId })
  }

  async function register(registration: SelfRegistration): Promise<Decision> {
    try {
      const name = `trust anchor ${registration.issuerId.slice(0, 16)}`
      const actor: Actor = { name, kind: 'service' }
      const outcome = await writer.registerArrival(registration, actor)
      if ('mode' in outcome) return { deviceId: registration.deviceId, mode: outcome.mode }
      return outcome.refused === 'limited'
        ? 'later'
        : { reason: outcome.refused, detail: refusals[outcome.refused] }
    } catch (error) {
      // Whatever is there stays as it is: nobody comes by another's name or key.
      if (error instanceof Conflict) return { reason: error.code, detail: error.message }
      throw error
    }
  }

  const loop = periodic(step, parts.everyMs, parts.leads)
  void loop.look()
  return loop
}

const refusals = {
  registration_off: 'registration under its issuer was switched off',
  devices_exceeded: 'as many devices as may have registered themselves under its issuer',
  certificate_revoked_by_issuer: 'the CRL of its issuer lists it',
} as const

function inWords(faults: readonly CertificateProblem[]): string {
  return faults.map(({ path, message }) => `${path}: ${message}`).join('; ')
}

/** Never throws: what cannot be read names nobody. */
function named(template: string, der: Buffer): ReturnType<typeof nameDevice> {
  try {
    return nameDevice(template, der, certificateFacts(der).serialNumber)
  } catch {
    return { fault: 'the names in the certificate cannot be read' }
  }
}
