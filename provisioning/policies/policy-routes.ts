// Policies: list, read, put, delete, attach and detach. What a change does is told beforehand in policy-trial-routes.ts.

import type { FastifyRequest } from 'fastify'
import type { RegistryWriter } from '../../db/index.ts'
import type { PolicyReader } from '../../db/policies/policy-reader.ts'
import { type Api, refusals, secured } from '../http/api.ts'
import { decodeCursor, encodeCursor } from '../http/cursor.ts'
import { httpProblems } from '../http/http-problems.ts'
import { versionSeen } from '../http/precondition.ts'
import { Problem } from '../http/problem.ts'
import { NoBody, NoQuery, PageOf } from '../http/schemas.ts'
import type { Log } from '../logging/log.ts'
import { actorOf, callerOf } from '../operators/authentication.ts'
import type { AwaitReceipt } from '../receipt.ts'
import { policyBody, validatedDocument } from './policy-body.ts'
import { policyProblems } from './policy-problems.ts'
import { toPolicyResponse } from './policy-response.ts'
import * as schemas from './policy-schemas.ts'

export type PolicyServices = {
  writer: RegistryWriter
  policies: PolicyReader
  receipt: AwaitReceipt
  log: Log
}

const tags = ['policies']
const isName = (text: string) => /^[A-Za-z0-9._-]{1,64}$/.test(text)
const isAttachment = (text: string) => /^[a-z]+ [A-Za-z0-9._-]{0,128}$/.test(text)

export function policyRoutes(api: Api, services: PolicyServices): void {
  const { writer, policies, receipt, log } = services

  function policyOf(name: string) {
    const policy = policies.policy(name)
    if (policy === null) throw new Problem(policyProblems, 'policy_unknown', `no policy ${name}`)
    return policy
  }

  api.get(
    '/v1/policies',
    {
      schema: {
        tags,
        security: secured,
        summary: 'List policies, by name',
        querystring: schemas.PageQuery,
        response: { 200: PageOf(schemas.PolicySummary), ...refusals },
      },
    },
    async request => {
      const { limit = 100, cursor } = request.query
      const { items, next } = policies.policies(decodeCursor(cursor, isName), limit)
      return {
        items: items.map(policy => {
          const { document, ...summary } = toPolicyResponse(policy)
          return { ...summary, statementsTotal: document.statements.length }
        }),
        nextCursor: encodeCursor(next),
      }
    },
  )

  api.get(
    '/v1/policies/:name',
    {
      schema: {
        tags,
        security: secured,
        summary: 'Read a policy; its ETag names the version',
        params: schemas.PolicyParams,
        querystring: NoQuery,
        response: { 200: schemas.Policy, ...refusals },
      },
    },
    async (request, reply) => {
      const policy = policyOf(request.params.name)
      return reply.header('etag', `"${policy.version}"`).send(toPolicyResponse(policy))
    },
  )

  api.put(
    '/v1/policies/:name',
    {
      ...policyBody('whole'),
      schema: {
        tags,
        security: secured,
        summary: 'Store a policy',
        description:
          'Replacing one takes its ETag as If-Match. The same document again changes nothing. Answers when every broker acted on it, or after 2 s with those that did not.',
        params: schemas.PolicyParams,
        querystring: NoQuery,
        headers: schemas.IfMatch,
        body: schemas.PolicyDocument,
        response: { 200: schemas.PolicyReceipt, 201: schemas.PolicyReceipt, ...refusals },
      },
    },
    async (request, reply) => {
      const { name } = request.params
      const document = validatedDocument(request.body, name)
      const stored = policies.policy(name)
      const expected = expectedVersion(request, name, stored?.version ?? null)
      const same = stored?.document === JSON.stringify(document)
      if (expected === undefined && stored !== null && !same && request.headers['if-match'] === undefined) {
        throw new Problem(
          httpProblems,
          'version_required',
          `policy ${name} is there, of version ${stored.version}`,
        )
      }
      const epoch = await writer.putPolicy(
        name,
        document,
        actorOf(request),
        expected === undefined && stored === null ? null : expected,
      )
      const { version } = policyOf(name)
      const given = await receipt(epoch)
      if (!same) log.policyChanged(callerOf(request), name, 'policy_put')
      return reply
        .code(stored === null ? 201 : 200)
        .header('etag', `"${version}"`)
        .send({ ...given, name, version })
    },
  )

  api.delete(
    '/v1/policies/:name',
    {
      schema: {
        tags,
        security: secured,
        summary: 'Delete a policy that nothing holds',
        params: schemas.PolicyParams,
        querystring: NoQuery,
        headers: schemas.IfMatch,
        body: NoBody,
        response: { 200: schemas.PolicyReceipt, ...refusals },
      },
    },
    async request => {
      const { name } = request.params
      const expected = expectedVersion(request, name, policyOf(name).version)
      const epoch = await writer.deletePolicy(name, actorOf(request), expected)
      log.policyChanged(callerOf(request), name, 'policy_deleted')
      return { ...(await receipt(epoch)), name, version: null }
    },
  )

  api.get(
    '/v1/policies/:name/attachments',
    {
      schema: {
        tags,
        security: secured,
        summary: 'List what a policy is attached to',
        params: schemas.PolicyParams,
        querystring: schemas.PageQuery,
        response: { 200: PageOf(schemas.Attachment), ...refusals },
      },
    },
    async request => {
      const { limit = 100, cursor } = request.query
      const { name } = policyOf(request.params.name)
      const { items, next } = policies.attachments(name, decodeCursor(cursor, isAttachment), limit)
      return { items, nextCursor: encodeCursor(next) }
    },
  )

  const moves = {
    put: { verb: writer.attachPolicy, change: 'policy_attached', summary: 'Attach a policy' },
    delete: { verb: writer.detachPolicy, change: 'policy_detached', summary: 'Detach a policy' },
  } as const
  for (const [method, { verb, change, summary }] of Object.entries(moves)) {
    const common = {
      tags,
      security: secured,
      description: 'Answers when every broker acted on it, or after 2 s with those that did not.',
      querystring: NoQuery,
      body: NoBody,
      response: { 200: schemas.AttachmentReceipt, ...refusals },
    }
    api.route({
      method: method === 'put' ? 'PUT' : 'DELETE',
      url: '/v1/policies/:name/attachments/everyone',
      schema: { ...common, summary: `${summary} for every device`, params: schemas.PolicyParams },
      handler: async request => {
        const { name } = request.params as { name: string }
        const epoch = await verb(name, 'everyone', '', actorOf(request))
        log.policyChanged(callerOf(request), name, change)
        return { ...(await receipt(epoch)), name, kind: 'everyone' as const, target: '' }
      },
    })
    api.route({
      method: method === 'put' ? 'PUT' : 'DELETE',
      url: '/v1/policies/:name/attachments/:kind/:target',
      schema: {
        ...common,
        summary: `${summary} for a device, a group, or what an issuer certified`,
        params: schemas.TargetParams,
      },
      handler: async request => {
        const { name, kind, target } = request.params as {
          name: string
          kind: (typeof schemas.targetKinds)[number]
          target: string
        }
        const epoch = await verb(name, kind, target, actorOf(request))
        log.policyChanged(callerOf(request), name, change)
        return { ...(await receipt(epoch)), name, kind, target }
      },
    })
  }
}

/** The version that is to be replaced, or undefined where it does not matter. */
function expectedVersion(request: FastifyRequest, name: string, stored: string | null): string | undefined {
  if (request.headers['if-match']?.trim() === '*' && stored === null) {
    throw new Problem(policyProblems, 'policy_changed', `there is no policy ${name}`)
  }
  return versionSeen(request)
}
