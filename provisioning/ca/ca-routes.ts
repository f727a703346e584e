// The life of our own CA: how it stands, handing over to the next issuing CA, and ending a former one.

import type { RegistryWriter } from '../../db/index.ts'
import type { StoredCrl } from '../../db/issuers/crl-store.ts'
import type { Issuer } from '../../db/issuers/issuer-store.ts'
import type { ReliantReader, Rotation } from '../../db/issuers/rotation-store.ts'
import { fingerprintOf, validityIn } from '../../pki/certificate-facts.ts'
import { anchorProblems } from '../anchors/anchor-problems.ts'
import { IssuerParams, IssuerReceipt } from '../anchors/issuer-schemas.ts'
import { type Api, refusals, secured } from '../http/api.ts'
import { Problem } from '../http/problem.ts'
import * as schemas from '../http/schemas.ts'
import type { Log } from '../logging/log.ts'
import { actorOf, callerOf } from '../operators/authentication.ts'
import type { AwaitReceipt } from '../receipt.ts'
import { x509Problems } from '../x509/x509-problems.ts'
import type { CaManager } from './ca-manager.ts'
import { caProblems } from './ca-problems.ts'
import * as caSchemas from './ca-schemas.ts'

type CaServices = {
  writer: RegistryWriter
  issuers: () => Map<string, Issuer>
  receipt: AwaitReceipt
  log: Log
  now: () => number
  ca: {
    manager: CaManager
    reliant: ReliantReader
    crl: (issuerId: string) => StoredCrl | null
    statusUrl: string
    keysEncrypted: boolean
    /** What is due once another CA issues: its CRL, its OCSP responder, the server certificate. Never throws. */
    followUp(): Promise<void>
  }
}

const DAY_SECONDS = 86_400
const SPREAD_DAYS = 7

export function caRoutes(api: Api, services: CaServices): void {
  const { ca, issuers, writer, receipt, log, now } = services
  const about = { tags: ['ca'], security: secured, querystring: schemas.NoQuery }

  async function caStatus() {
    const { root } = ca.manager.current()
    const current = ca.manager.activeId()
    const devices = await ca.reliant.countDevices(now())
    const rotations = new Map<string, Rotation>(ca.manager.rotations().map(one => [one.issuerId, one]))
    const issuing = [...issuers().values()].filter(({ kind }) => kind === 'issuing')
    const began = (id: string) => rotations.get(id)?.at ?? 0
    return {
      statusUrl: ca.statusUrl,
      keysEncrypted: ca.keysEncrypted,
      root: {
        id: fingerprintOf(root.raw),
        notAfter: time(validityIn(root).notAfter),
        keyHere: ca.manager.rootKeyHere(),
      },
      issuing: issuing
        .sort((a, b) => began(b.id) - began(a.id) || Number(b.id === current) - Number(a.id === current))
        .map(({ id, name, enabled, notAfter }) => {
          const rotation = rotations.get(id)
          const crl = ca.crl(id)
          return {
            ...{ id, name, enabled, current: id === current, keyHere: ca.manager.isKeyHere(id) },
            devices: devices.get(id) ?? 0,
            notAfter: time(notAfter),
            since: rotation === undefined ? null : time(rotation.at),
            allToldAt: rotation === undefined ? null : time(rotation.at + rotation.spreadMs),
            crl:
              crl === null
                ? null
                : { number: crl.number, entries: crl.entries, nextUpdate: time(crl.nextUpdate) },
          }
        }),
    }
  }

  api.get(
    '/v1/ca',
    {
      schema: {
        ...about,
        summary: 'How our own CA stands: keys, issuing CAs, and how many devices rely on each',
        response: { 200: caSchemas.Ca, ...refusals },
      },
    },
    caStatus,
  )

  api.post(
    '/v1/ca/request',
    {
      config: { replay: async () => null },
      schema: {
        ...about,
        summary: 'A certification request for the next issuing CA, to be signed by an offline root',
        description: 'Makes the key where it is not made yet; the same request until it is used.',
        body: schemas.NoBody,
        response: { 200: caSchemas.CaRequest, ...refusals },
      },
    },
    async () => ca.manager.request(),
  )

  api.post(
    '/v1/ca/rotate',
    {
      config: { replay: caStatus },
      schema: {
        ...about,
        summary: 'Make another issuing CA the one that issues, at once',
        description:
          'Signed by the root here, or given as a certificate that the offline root signed for /v1/ca/request. Certificates of the former CA stay valid; over spreadSeconds (7 days where it is not said) each of their devices is told in its turn to renew.',
        body: caSchemas.RotationBody,
        response: { 200: caSchemas.Ca, ...refusals },
      },
    },
    async request => {
      const { certificate, spreadSeconds = SPREAD_DAYS * DAY_SECONDS } = request.body ?? {}
      const order = { certificate: certificate ?? null, spreadMs: spreadSeconds * 1_000 }
      ca.manager.refresh()
      const outcome = await ca.manager.rotate(order, actorOf(request))
      if ('refused' in outcome) {
        throw new Problem({ ...caProblems, ...x509Problems }, outcome.refused, details[outcome.refused], {
          errors: outcome.faults,
        })
      }
      log.caRotated(callerOf(request), outcome.issuerId)
      await ca.followUp()
      return caStatus()
    },
  )

  api.post(
    '/v1/ca/issuers/:issuer/retire',
    {
      config: { replay: done => retired(done.target, done.epoch!) },
      schema: {
        ...about,
        summary: 'Disable a former issuing CA, where no device relies on it any more',
        description: 'With force also where devices do: they are cut and refused from then on.',
        params: IssuerParams,
        body: caSchemas.RetirementBody,
        response: { 200: IssuerReceipt, ...refusals },
      },
    },
    async request => {
      const { issuer } = request.params
      const known = issuers().get(issuer)
      if (known?.kind !== 'issuing') {
        throw new Problem(anchorProblems, 'issuer_unknown', `${issuer} is no issuing CA of this service`)
      }
      ca.manager.refresh()
      if (issuer === ca.manager.activeId() || issuer === ca.manager.current().id) {
        throw new Problem(caProblems, 'issuer_current', `${known.name} is the CA that issues now`)
      }
      // What relies on it only grows fewer: nothing is issued by it, and what is held counts already.
      const devices = (await ca.reliant.countDevices(now())).get(issuer) ?? 0
      if (devices > 0 && request.body?.force !== true) {
        const count = devices === 1 ? '1 device still relies' : `${devices} devices still rely`
        throw new Problem(anchorProblems, 'issuer_in_use', `${count} on ${known.name}`)
      }
      const epoch = await writer.setIssuerEnabled(issuer, false, actorOf(request))
      log.issuerSet(callerOf(request), issuer, false)
      return retired(issuer, epoch)
    },
  )

  async function retired(issuerId: string, epoch: number) {
    return { ...(await receipt(epoch)), issuerId, enabled: false }
  }
}

const details = {
  root_key_offline: 'the key of the root is not in the data directory',
  rotation_running: 'a rotation is under way',
  certificate_invalid: 'the certificate cannot become that of the issuing CA',
} as const

function time(at: number): string {
  return new Date(at).toISOString()
}
