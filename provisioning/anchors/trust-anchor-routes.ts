// Trust anchors: register a CA of somebody else, prove possession of its key, and let its devices register themselves.

import Type from 'typebox'
import type { Actor } from '../../db/audit/audit.ts'
import { issuerEntityTag } from '../../db/entity-tags.ts'
import type { RegistryWriter } from '../../db/index.ts'
import type { Arrival } from '../../db/issuers/arrivals.ts'
import type { Issuer } from '../../db/issuers/issuer-store.ts'
import type { AnchorRenewal } from '../../db/issuers/renewed-anchors.ts'
import type { TrustAnchor } from '../../db/issuers/trust-anchors.ts'
import { fingerprintOf, isFingerprint } from '../../pki/certificate-facts.ts'
import type { PqMode } from '../../pki/key-policy.ts'
import { toPem } from '../../pki/pem.ts'
import { type Api, refusals, secured } from '../http/api.ts'
import { decodeCursor, encodeCursor } from '../http/cursor.ts'
import { etag } from '../http/precondition.ts'
import { Problem, refusal } from '../http/problem.ts'
import * as schemas from '../http/schemas.ts'
import type { Log } from '../logging/log.ts'
import { actorOf, callerOf } from '../operators/authentication.ts'
import type { AwaitReceipt } from '../receipt.ts'
import { anchorProblems } from './anchor-problems.ts'
import * as anchorSchemas from './anchor-schemas.ts'
import type { AnchorService } from './anchor-service.ts'
import { toIssuerResponse } from './issuer-routes.ts'
import { IssuerParams } from './issuer-schemas.ts'
import { templateFault } from './name-template.ts'
import { CHALLENGE_MS, newNonce, validateNewAnchor, validateProof } from './trust-anchor.ts'

export type TrustAnchorServices = {
  writer: RegistryWriter
  issuers: () => Map<string, Issuer>
  anchors: AnchorService
  receipt: AwaitReceipt
  log: Log
  pq: PqMode
  now: () => number
}

export function trustAnchorRoutes(api: Api, services: TrustAnchorServices): void {
  const { writer, issuers, anchors, receipt, log, pq, now } = services
  const about = { tags: ['issuers'], security: secured, querystring: schemas.NoQuery }

  function issuerOf(id: string): Issuer {
    const issuer = issuers().get(id)
    if (issuer === undefined)
      throw new Problem(anchorProblems, 'issuer_unknown', `no issuer ${id} is registered`)
    return issuer
  }

  async function anchorOf(id: string): Promise<{ issuer: Issuer; anchor: TrustAnchor }> {
    const issuer = issuerOf(id)
    const anchor = await anchors.show(id)
    if (anchor === null)
      throw new Problem(anchorProblems, 'issuer_own', 'only CAs of others are trust anchors')
    return { issuer, anchor }
  }

  async function renewed(issuer: Issuer, renewal: Pick<AnchorRenewal, 'der' | 'parentId'>, actor: Actor) {
    const replaces = fingerprintOf(issuer.certificate.raw)
    const epoch = await writer.renewTrustAnchor({ ...renewal, issuerId: issuer.id, replaces }, actor)
    return { id: issuer.id, epoch }
  }

  async function provenNow(issuerId: string) {
    const { provenAt, proofFingerprint } = (await anchorOf(issuerId)).anchor
    return { issuerId, provenAt: time(provenAt)!, verificationCertificate: proofFingerprint! }
  }

  api.post(
    '/v1/issuers',
    {
      config: {
        replay: async (done, _, reply) => {
          reply.code(201).header('location', `/v1/issuers/${done.target}`)
          return { ...toIssuerResponse(issuerOf(done.target)), ...(await receipt(done.epoch!)) }
        },
      },
      schema: {
        ...about,
        summary: 'Register a CA of somebody else as trust anchor',
        description:
          'Brokers trust it at once, and admit none of its certificates before they are on the roll. Register the CA that signs the devices. ' +
          'A certificate of a registered CA, renewed with the same name and key and ending later, takes the place of the one in force: the issuer keeps its ID, its settings and its devices.',
        body: anchorSchemas.NewIssuer,
        response: { 201: anchorSchemas.NewIssuerReceipt, ...refusals },
      },
    },
    async (request, reply) => {
      const { certificate, name } = request.body
      const verdict = validateNewAnchor(certificate, { issuers: issuers(), pq, now: now() })
      if ('refused' in verdict) throw refusal(anchorProblems, verdict)
      const { der, parentId, subject, renews } = verdict
      const actor = actorOf(request)
      const { id, epoch } =
        renews === null
          ? await writer.addTrustAnchor({ der, parentId, name: name ?? subject }, actor)
          : await renewed(renews, { der, parentId }, actor)
      log.anchorChanged(callerOf(request), id, renews === null ? 'added' : 'renewed')
      const pinned = await writer.bindPinned(actor)
      log.pinnedBound(pinned)
      const acted = await receipt(pinned.epoch ?? epoch)
      return reply
        .code(201)
        .header('location', `/v1/issuers/${id}`)
        .send({ ...toIssuerResponse(issuerOf(id)), ...acted })
    },
  )

  api.get(
    '/v1/issuers/:issuer',
    {
      schema: {
        ...about,
        summary: 'Read an issuer with its PEM, and how far it is trusted',
        params: IssuerParams,
        response: { 200: anchorSchemas.IssuerDetail, ...refusals },
      },
    },
    async (request, reply) => {
      const issuer = issuerOf(request.params.issuer)
      reply.header('etag', etag(issuerEntityTag(issuer)))
      return toDetailResponse(issuer, await anchors.show(issuer.id))
    },
  )

  api.post(
    '/v1/issuers/:issuer/challenge',
    {
      config: { replay: async () => null },
      schema: {
        ...about,
        summary: 'Ask for a nonce that the CA is to sign',
        description: 'Open for 24 hours. A newer challenge ends the one before.',
        params: IssuerParams,
        body: schemas.NoBody,
        response: { 201: anchorSchemas.Challenge, ...refusals },
      },
    },
    async (request, reply) => {
      const issuerId = request.params.issuer
      const challenge = { nonce: newNonce(), expiresAt: now() + CHALLENGE_MS }
      await writer.openChallenge(issuerId, challenge, actorOf(request))
      const expiresAt = new Date(challenge.expiresAt).toISOString()
      return reply.code(201).send({ issuerId, nonce: challenge.nonce, expiresAt })
    },
  )

  api.post(
    '/v1/issuers/:issuer/proof',
    {
      config: { replay: done => provenNow(done.target) },
      schema: {
        ...about,
        summary: 'Prove possession with a certificate that the CA signed for the nonce',
        params: IssuerParams,
        body: anchorSchemas.Proof,
        response: { 200: anchorSchemas.Proven, ...refusals },
      },
    },
    async request => {
      const issuerId = request.params.issuer
      const verdict = validateProof(request.body.certificate, { ...(await anchorOf(issuerId)), now: now() })
      if ('refused' in verdict) throw refusal(anchorProblems, verdict)
      await writer.recordProof(issuerId, verdict, actorOf(request))
      log.issuerProven(callerOf(request), issuerId)
      return provenNow(issuerId)
    },
  )

  api.put(
    '/v1/issuers/:issuer/registration',
    {
      schema: {
        ...about,
        summary: 'Say whether devices of this CA may register themselves, under which name, and how many',
        description: 'What is left out stays as it is. Anything but off wants proof of possession.',
        params: IssuerParams,
        body: anchorSchemas.AutoRegistration,
        response: { 200: anchorSchemas.AutoRegistrationReceipt, ...refusals },
      },
    },
    async request => {
      const issuerId = request.params.issuer
      const { anchor } = await anchorOf(issuerId)
      const settings = { ...anchor.autoRegistration, ...request.body }
      const fault = templateFault(settings.nameTemplate)
      if (fault !== null) {
        throw refusal(anchorProblems, {
          refused: 'name_template_invalid',
          faults: [{ path: 'body.nameTemplate', message: fault }],
        })
      }
      const epoch = await writer.setAutoRegistration(issuerId, settings, actorOf(request))
      log.registrationSet(callerOf(request), issuerId, settings.mode)
      return { ...(await receipt(epoch)), issuerId, ...settings }
    },
  )

  api.put(
    '/v1/issuers/:issuer/profile',
    {
      schema: {
        ...about,
        summary: 'Say which certificates of this CA may be registered',
        description:
          '`acceptV1`: X.509 version 1 too, which has no extensions. What is on the roll stays there.',
        params: IssuerParams,
        body: anchorSchemas.AnchorProfile,
        response: { 200: anchorSchemas.AnchorProfileSet, ...refusals },
      },
    },
    async request => {
      const issuerId = request.params.issuer
      const { acceptV1 } = request.body
      await anchorOf(issuerId)
      await writer.setAcceptV1(issuerId, acceptV1, actorOf(request))
      return { issuerId, acceptV1 }
    },
  )

  api.get(
    '/v1/issuers/:issuer/arrivals',
    {
      schema: {
        ...about,
        summary:
          'List devices that wanted to register themselves: those that wait, and those refused with the reason',
        params: IssuerParams,
        querystring: Type.Object(schemas.paging, schemas.strict),
        response: { 200: schemas.PageOf(anchorSchemas.Arrival), ...refusals },
      },
    },
    async request => {
      const { issuer } = await anchorOf(request.params.issuer)
      const { limit = 100, cursor } = request.query
      const { items, next } = anchors.arrivals(issuer.id, decodeCursor(cursor, isFingerprint), limit)
      return { items: items.map(toArrivalResponse), nextCursor: encodeCursor(next) }
    },
  )
}

function toArrivalResponse({ at, decidedAt, ...arrival }: Arrival) {
  return { ...arrival, at: new Date(at).toISOString(), decidedAt: time(decidedAt) }
}

function toDetailResponse(issuer: Issuer, anchor: TrustAnchor | null): anchorSchemas.IssuerDetail {
  return {
    ...toIssuerResponse(issuer),
    certificate: toPem(issuer.certificate.raw, 'CERTIFICATE'),
    revoked: issuer.revoked,
    anchor: anchor && {
      acceptV1: issuer.acceptV1,
      provenAt: time(anchor.provenAt),
      challengeExpiresAt: time(anchor.challenge?.expiresAt ?? null),
      autoRegistration: { ...anchor.autoRegistration, devicesRegistered: anchor.devicesRegistered },
    },
  }
}

function time(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString()
}
