// Certificates on the roll: list, read, revoke.

import { certificateEntityTag } from '../../db/entity-tags.ts'
import type { RegistryWriter } from '../../db/index.ts'
import type { RevocationOutcome } from '../../db/roll/revocation-outcome.ts'
import type { RollReader } from '../../db/roll/roll-reader.ts'
import { isFingerprint } from '../../pki/certificate-facts.ts'
import { type Api, refusals, secured } from '../http/api.ts'
import { decodeCursor, encodeCursor } from '../http/cursor.ts'
import { etag, IfMatch } from '../http/precondition.ts'
import { Problem } from '../http/problem.ts'
import { rollProblems } from '../http/roll-problems.ts'
import {
  toAdmissibleResponse,
  toCertificateResponse,
  toCertificateWithPemResponse,
} from '../http/roll-responses.ts'
import * as schemas from '../http/schemas.ts'
import type { Log } from '../logging/log.ts'
import { actorOf, callerOf } from '../operators/authentication.ts'
import { scopeOf } from '../operators/authorization-scope.ts'
import type { AwaitReceipt } from '../receipt.ts'

export type CertificateServices = {
  writer: RegistryWriter
  roll: RollReader
  /** PEM of an issuer and of what stands above it up to, but without, the root; and of the root. */
  chainOf: (issuerId: string | null) => { chain: string[]; ca: string | null }
  receipt: AwaitReceipt
  revocationOutcome: RevocationOutcome
  log: Log
  now: () => number
}

export function certificateRoutes(api: Api, services: CertificateServices): void {
  const { writer, roll, receipt, chainOf, log, revocationOutcome: outcome } = services
  const tags = ['certificates']

  api.get(
    '/v1/certificates',
    {
      schema: {
        tags,
        security: secured,
        summary: 'List certificates, by fingerprint',
        querystring: schemas.CertificateQuery,
        response: { 200: schemas.PageOf(schemas.Certificate), ...refusals },
      },
    },
    async request => {
      const { limit = 100, cursor, ...filter } = request.query
      const within = { ...filter, scope: scopeOf(request) }
      const { items, next } = await roll.certificates(within, decodeCursor(cursor, isFingerprint), limit)
      return { items: items.map(toCertificateResponse), nextCursor: encodeCursor(next) }
    },
  )

  api.get(
    '/v1/certificates/:fingerprint',
    {
      schema: {
        tags,
        security: secured,
        summary: 'Read a certificate with its PEM',
        params: schemas.CertificateParams,
        querystring: schemas.NoQuery,
        response: { 200: schemas.CertificateWithPem, ...refusals },
      },
    },
    async (request, reply) => {
      const { fingerprint } = request.params
      const certificate = await roll.certificate(fingerprint)
      if (certificate === null) {
        throw new Problem(rollProblems, 'certificate_unknown', `no certificate ${fingerprint} is on the roll`)
      }
      reply.header('etag', etag(certificateEntityTag(certificate)))
      return toCertificateWithPemResponse(certificate, chainOf)
    },
  )

  const answer = async (fingerprint: string, epoch: number) => {
    const revoked = outcome.revokedWith(fingerprint)
    const epochs = outcome.epochsOf(revoked.map(one => one.fingerprint))
    const deviceIds = revoked.map(({ deviceId }) => deviceId)
    return {
      ...(await receipt(epoch, epochs)),
      fingerprint,
      status: 'revoked' as const,
      revoked,
      stillAdmitting: outcome.stillAdmitting(deviceIds, services.now()).map(toAdmissibleResponse),
    }
  }
  api.post(
    '/v1/certificates/:fingerprint/revoke',
    {
      config: { replay: done => answer(done.target, done.epoch!) },
      schema: {
        tags,
        security: secured,
        summary: 'Revoke a certificate, for good',
        description:
          'For keyCompromise every certificate of the same key is revoked with it, and every one that was obtained with that key; revoked names them. stillAdmitting names what admits the device all the same. Answers when every broker cut the sessions, or after 2 s with those that did not. Revoking again changes nothing and gives the first receipt.',
        params: schemas.CertificateParams,
        querystring: schemas.NoQuery,
        headers: IfMatch,
        body: schemas.Revocation,
        response: { 200: schemas.RevocationReceipt, ...refusals },
      },
    },
    async request => {
      const { fingerprint } = request.params
      const reason = request.body?.reason ?? 'unspecified'
      const epoch = await writer.revokeCertificate(fingerprint, reason, actorOf(request))
      const given = await answer(fingerprint, epoch)
      for (const one of given.revoked)
        log.certificateRevoked(callerOf(request), one.fingerprint, reason, given.unreachable.length)
      return given
    },
  )
}
