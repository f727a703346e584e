// Certificates on the roll: list, read, revoke.
import { isFingerprint } from '../../pki/certificate-facts.ts'
import { actorOf } from '../authentication.ts'
import { decodeCursor, encodeCursor } from '../cursor.ts'
import { Problem } from '../problem.ts'
import * as schemas from '../schemas.ts'
import {
  type Api,
  callerOf,
  refusals,
  type Services,
  secured,
  shownCertificate,
  shownWithPem,
} from './context.ts'

export function certificateRoutes(api: Api, services: Services): void {
  const { writer, roll, receipt, chainOf, events } = services
  const tags = ['certificates']

  api.get(
    '/v1/certificates',
    {
      config: { role: 'viewer' },
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
      const { items, next } = await roll.certificates(filter, decodeCursor(cursor, isFingerprint), limit)
      return { items: items.map(shownCertificate), nextCursor: encodeCursor(next) }
    },
  )

  api.get(
    '/v1/certificates/:fingerprint',
    {
      config: { role: 'viewer' },
      schema: {
        tags,
        security: secured,
        summary: 'Read a certificate with its PEM',
        params: schemas.CertificateParams,
        querystring: schemas.NoQuery,
        response: { 200: schemas.CertificateWithPem, ...refusals },
      },
    },
    async request => {
      const { fingerprint } = request.params
      const certificate = await roll.certificate(fingerprint)
      if (certificate === null) {
        throw new Problem('certificate_unknown', `no certificate ${fingerprint} is on the roll`)
      }
      return shownWithPem(certificate, chainOf)
    },
  )

  api.post(
    '/v1/certificates/:fingerprint/revoke',
    {
      config: { role: 'operator' },
      schema: {
        tags,
        security: secured,
        summary: 'Revoke a certificate, for good',
        description:
          'Answers when every broker cut its sessions, or after 2 s with those that did not. Revoking again changes nothing and gives the first receipt.',
        params: schemas.CertificateParams,
        querystring: schemas.NoQuery,
        body: schemas.Revocation,
        response: { 200: schemas.CertificateReceipt, ...refusals },
      },
    },
    async request => {
      const { fingerprint } = request.params
      const reason = request.body?.reason ?? 'unspecified'
      const epoch = await writer.revokeCertificate(fingerprint, reason, actorOf(request))
      const given = await receipt(epoch)
      events.certificateRevoked(callerOf(request), fingerprint, reason, given.unreachable.length)
      return { ...given, fingerprint, status: 'revoked' as const }
    },
  )
}
