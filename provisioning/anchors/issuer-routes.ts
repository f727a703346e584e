// Issuers: list them, and set which of them may have their certificates admitted.
import type { X509Certificate } from 'node:crypto'
import Type from 'typebox'
import type { RegistryWriter } from '../../db/index.ts'
import { type Issuer, issuerNamed } from '../../db/issuers/issuer-store.ts'
import { fingerprintOf, isFingerprint, validityIn } from '../../pki/certificate-facts.ts'
import { type Api, refusals, secured } from '../http/api.ts'
import { decodeCursor, encodeCursor } from '../http/cursor.ts'
import { IfMatch } from '../http/precondition.ts'
import * as schemas from '../http/schemas.ts'
import type { Log } from '../logging/log.ts'
import { actorOf, callerOf } from '../operators/authentication.ts'
import type { AwaitReceipt } from '../receipt.ts'
import * as issuerSchemas from './issuer-schemas.ts'

export type IssuerServices = {
  writer: RegistryWriter
  issuers: () => Map<string, Issuer>
  receipt: AwaitReceipt
  log: Log
}

export function issuerRoutes(api: Api, { writer, issuers, receipt, log }: IssuerServices): void {
  const tags = ['issuers']

  api.get(
    '/v1/issuers',
    {
      schema: {
        tags,
        security: secured,
        summary: 'List the issuers on record, our own CAs and foreign trust anchors',
        querystring: Type.Object(schemas.paging, schemas.strict),
        response: { 200: schemas.PageOf(issuerSchemas.Issuer), ...refusals },
      },
    },
    async request => {
      const { limit = 100, cursor } = request.query
      const after = decodeCursor(cursor, isFingerprint) ?? ''
      const rest = [...issuers().values()].filter(({ id }) => id > after)
      const items = rest.slice(0, limit)
      const next = rest.length > limit ? items.at(-1)!.id : null
      return { items: items.map(toIssuerResponse), nextCursor: encodeCursor(next) }
    },
  )

  for (const verb of ['disable', 'enable'] as const) {
    const enabled = verb === 'enable'
    const answer = async (issuerId: string, epoch: number) => ({
      ...(await receipt(epoch)),
      issuerId,
      enabled,
    })
    api.post(
      `/v1/issuers/:issuer/${verb}`,
      {
        config: { replay: done => answer(done.target, done.epoch!) },
        schema: {
          tags,
          security: secured,
          summary: enabled
            ? 'Admit again what this issuer signed'
            : 'Refuse each certificate that this issuer signed, and cut the sessions of those certificates',
          description: 'Answers when every broker acted on it, or after 2 s with those that did not.',
          params: issuerSchemas.IssuerParams,
          querystring: schemas.NoQuery,
          headers: IfMatch,
          body: schemas.NoBody,
          response: { 200: issuerSchemas.IssuerReceipt, ...refusals },
        },
      },
      async request => {
        const { issuer } = request.params
        const epoch = await writer.setIssuerEnabled(issuer, enabled, actorOf(request))
        log.issuerSet(callerOf(request), issuer, enabled)
        return answer(issuer, epoch)
      },
    )
  }
}

/** A caller may name an issuer by any of its certificates. */
export function resolveIssuers(api: Api, issuers: IssuerServices['issuers']): void {
  api.addHook('preHandler', async ({ params }) => {
    const named = params as { issuer?: string }
    if (named.issuer !== undefined) named.issuer = issuerNamed(named.issuer, issuers())?.id ?? named.issuer
  })
}

export function toIssuerResponse({ id, name, kind, parentId, enabled, certificate, replaced }: Issuer) {
  return {
    ...{ id, name, kind, parentId, enabled },
    subject: certificate.subject.replaceAll('\n', ', '),
    ...validity(certificate),
    certificates: [certificate, ...replaced].map(one => ({
      fingerprint: fingerprintOf(one.raw),
      ...validity(one),
      inForce: one === certificate,
    })),
  }
}

function validity(certificate: X509Certificate) {
  const { notBefore, notAfter } = validityIn(certificate)
  return { notBefore: new Date(notBefore).toISOString(), notAfter: new Date(notAfter).toISOString() }
}
