// CRLs of trust anchors: upload one, say where newer ones are fetched, fetch now, and see where they stand.

import type { FastifyRequest } from 'fastify'
import type { RegistryWriter } from '../../db/index.ts'
import type { IssuerCrlStatus } from '../../db/issuers/issuer-crls.ts'
import type { Issuer } from '../../db/issuers/issuer-store.ts'
import { type Api, refusals, secured } from '../http/api.ts'
import { httpProblems } from '../http/http-problems.ts'
import { Problem } from '../http/problem.ts'
import * as schemas from '../http/schemas.ts'
import { actorOf } from '../operators/authentication.ts'
import { OutboundFault } from '../outbound/address-guard.ts'
import type { AwaitReceipt } from '../receipt.ts'
import { anchorProblems } from './anchor-problems.ts'
import * as anchorSchemas from './anchor-schemas.ts'
import type { AnchorService } from './anchor-service.ts'
import { CRL_BYTES_MAX, crlOf, isStale } from './issuer-crls.ts'
import { IssuerParams } from './issuer-schemas.ts'

export type IssuerCrlServices = {
  writer: RegistryWriter
  issuers: () => Map<string, Issuer>
  anchors: AnchorService
  receipt: AwaitReceipt
  now: () => number
}

/** Text is parsed and validated at once: what is longer comes as DER. */
const CRL_TEXT_BYTES_MAX = 4 * 1024 * 1024

/** In a scope of its own: no other route takes bodies of this kind or size. */
export function issuerCrlRoutes(
  api: Api,
  { anchors, issuers, writer, receipt, now }: IssuerCrlServices,
): void {
  const about = { tags: ['issuers'], security: secured, querystring: schemas.NoQuery, params: IssuerParams }
  const response = { 200: anchorSchemas.CrlReceipt, ...refusals }
  // In DER as it is: neither put into JSON nor looked at character by character.
  const sent = new WeakMap<FastifyRequest, Buffer>()
  api.addContentTypeParser(
    ['application/pkix-crl', 'application/pkcs7-crl'],
    { parseAs: 'buffer', bodyLimit: CRL_BYTES_MAX },
    (request, body, done) => {
      sent.set(request, body as Buffer)
      done(null, { crl: 'DER' })
    },
  )

  async function statusOf(issuerId: string): Promise<anchorSchemas.CrlStatus> {
    const status = await anchors.crl(issuerId)
    if (status !== null) return toCrlStatusResponse(status, now())
    if (issuers().has(issuerId))
      throw new Problem(anchorProblems, 'issuer_own', 'only CAs of others have CRLs to import')
    throw new Problem(anchorProblems, 'issuer_unknown', `no issuer ${issuerId} is registered`)
  }

  async function answered(issuerId: string, epoch: number | null) {
    return { ...(await statusOf(issuerId)), receipt: epoch === null ? null : await receipt(epoch) }
  }

  api.get(
    '/v1/issuers/:issuer/crl',
    {
      schema: {
        ...about,
        summary: 'Which CRL of a trust anchor is in force, and whether it is late',
        response: { 200: anchorSchemas.CrlStatus, ...refusals },
      },
    },
    async request => statusOf(request.params.issuer),
  )

  api.put(
    '/v1/issuers/:issuer/crl',
    {
      bodyLimit: CRL_BYTES_MAX,
      onRequest: async ({ headers }) => {
        const text = headers['content-type']?.startsWith('application/json') === true
        // A body without a stated length may be of any length.
        if (text && Number(headers['content-length'] ?? Number.POSITIVE_INFINITY) > CRL_TEXT_BYTES_MAX)
          throw new Problem(
            httpProblems,
            'body_too_large',
            'a CRL in JSON is at most 4 MiB and says its length: send it as application/pkix-crl',
          )
      },
      schema: {
        ...about,
        summary:
          'Put a complete CRL of a trust anchor in force: as application/pkix-crl (16 MiB at most), or as PEM or base64 in JSON (4 MiB)',
        description:
          'What it lists is refused and cut; what it lists no more is admitted again, but for keyCompromise, which revokes the key for good. An older one is refused. `receipt` is null where it changed nothing.',
        body: anchorSchemas.NewCrl,
        response,
      },
    },
    async request => {
      const { issuer } = request.params
      const der = sent.get(request) ?? crlOf(request.body.crl)
      return answered(issuer, await anchors.importCrl(issuer, der, actorOf(request)))
    },
  )

  api.put(
    '/v1/issuers/:issuer/crl/source',
    {
      schema: {
        ...about,
        summary: 'Say from where newer CRLs are fetched, or null for nowhere',
        description: 'URLs inside certificates are never asked.',
        body: anchorSchemas.CrlSource,
        response: { 200: anchorSchemas.CrlStatus, ...refusals },
      },
    },
    async request => {
      const { issuer } = request.params
      await writer.setCrlUrl(issuer, validated(request.body.url), actorOf(request))
      return statusOf(issuer)
    },
  )

  api.post(
    '/v1/issuers/:issuer/crl/refresh',
    {
      config: { replay: async () => null },
      schema: { ...about, summary: 'Fetch the CRL now', body: schemas.NoBody, response },
    },
    async request => {
      const { issuer } = request.params
      return answered(issuer, await anchors.refreshCrl(issuer, actorOf(request)))
    },
  )

  function validated(url: string | null): string | null {
    try {
      return url === null ? null : anchors.validateCrlUrl(url)
    } catch (error) {
      if (!(error instanceof OutboundFault)) throw error
      const { message } = error
      throw new Problem(anchorProblems, 'crl_source_refused', message, {
        errors: [{ path: 'body.url', message }],
      })
    }
  }
}

function toCrlStatusResponse(status: IssuerCrlStatus, now: number): anchorSchemas.CrlStatus {
  const { issuerId, inForce, url, checkedAt, error } = status
  return {
    issuerId,
    stale: isStale(status, now),
    crl: inForce && {
      number: inForce.number,
      thisUpdate: time(inForce.thisUpdate)!,
      nextUpdate: time(inForce.nextUpdate),
      entries: inForce.entries,
      hash: inForce.hash,
      importedAt: time(inForce.importedAt)!,
    },
    source: { url, checkedAt: time(checkedAt), error },
  }
}

function time(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString()
}
