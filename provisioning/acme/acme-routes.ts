// ACME over HTTP (RFC 8555): every resource but the directory, nonces and renewal information is a signed POST. Each answer has a new nonce; what is refused
// is a problem document with an error type of ACME.
import type { FastifyReply, FastifyRequest } from 'fastify'
import Type, { type TSchema } from 'typebox'
import type { AcmeAccount } from '../../db/enrollment/acme-accounts.ts'
import type { RegistryWriter } from '../../db/index.ts'
import type { Issuer } from '../../db/issuers/issuer-store.ts'
import type { RollReader } from '../../db/roll/roll-reader.ts'
import type { EnrollmentAuthentication } from '../enrollment/enrollment-authentication.ts'
import type { SharedSecrets } from '../enrollment/shared-secrets.ts'
import { type Api, refusals } from '../http/api.ts'
import type { Problem } from '../http/problem.ts'
import { type ChainOf, toCertificateWithPemResponse } from '../http/roll-responses.ts'
import { NoQuery, strict } from '../http/schemas.ts'
import type { SelfAuthentication } from '../self-service/self-authentication.ts'
import { createAccounts } from './accounts.ts'
import { type AcmeRequest, createAcmeAuthentication } from './acme-authentication.ts'
import { acmeFault, inAcme } from './acme-problems.ts'
import { type Addresses, addressesAt, linkToDirectory, paths } from './addresses.ts'
import { createCertificateRevocation } from './certificate-revocation.ts'
import { createAccountBinding } from './external-account-binding.ts'
import { createNonces } from './nonces.ts'
import { authorizationResponse, orderResponse, PROCESSING_RETRY_SECONDS } from './order-response.ts'
import { createOrderService, type OrderServices } from './order-service.ts'
import { createRenewalInfo, RENEWAL_INFO_SECONDS } from './renewal-info.ts'
import { Jws, signatureAlgorithms } from './signed-request.ts'

export type AcmeServices = OrderServices & {
  writer: RegistryWriter
  roll: RollReader
  secrets: SharedSecrets
  issuers: () => Map<string, Issuer>
  chainOf: ChainOf
}
type ProblemHandler = (error: unknown, request: FastifyRequest, reply: FastifyReply) => FastifyReply
type AcmeParts = {
  enrollment: EnrollmentAuthentication
  self: SelfAuthentication
  problemOf: (error: unknown) => Problem
  /** Answers errors with documents as they are finished by this. */
  problemHandler: (
    finish: <Document extends { type: string }>(document: Document, problem: Problem) => Document,
  ) => ProblemHandler
}

const JOSE_JSON = 'application/jose+json'
const PEM_CHAIN = 'application/pem-certificate-chain'
const Id = Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' })
const Json = Type.Unsafe<object>({ type: 'object' })
type Call = { acme: AcmeRequest; request: FastifyRequest; reply: FastifyReply }

export function acmeRoutes(api: Api, services: AcmeServices, parts: AcmeParts): void {
  const { writer, roll, chainOf } = services
  const nonces = createNonces()
  const authentication = createAcmeAuthentication({ ...writer, nonces })
  const binding = createAccountBinding({ ...writer, ...services, enrollment: parts.enrollment })
  const accounts = createAccounts({ store: writer, binding })
  const orders = createOrderService(services, parts)
  const revoke = createCertificateRevocation({ ...services, orders })
  const renewalInfo = createRenewalInfo({ ...services, opensAt: services.ca.opensAt })

  api.removeAllContentTypeParsers()
  api.addContentTypeParser(JOSE_JSON, { parseAs: 'string' }, api.getDefaultJsonParser('error', 'error'))
  api.setErrorHandler(
    parts.problemHandler((document, problem) => inAcme(document, problem, signatureAlgorithms)),
  )
  api.addHook('onSend', async (request, reply) => {
    const isDirectory = request.routeOptions.url === paths.directory
    const isRead = request.method !== 'POST' && request.routeOptions.url !== paths.newNonce
    if (!isRead) reply.header('replay-nonce', nonces.issue())
    const link = isDirectory ? null : linkToDirectory(request.host)
    if (link !== null) reply.header('link', link)
  })

  const common = { tags: ['acme'], security: [{}], querystring: NoQuery }
  // Its clients are programs, and no page is served here.
  const lean = { helmet: false as const }
  const addressesOf = ({ host }: FastifyRequest) => addressesAt(host)

  api.get(
    paths.directory,
    {
      ...lean,
      schema: { ...common, summary: 'The directory (RFC 8555 §7.1.1)', response: { 200: Json, ...refusals } },
    },
    async request => {
      const { of } = addressesOf(request)
      const { directory: _, ...rest } = paths
      const addresses = Object.fromEntries(Object.entries(rest).map(([name, path]) => [name, of(path)]))
      return { ...addresses, meta: { externalAccountRequired: true } }
    },
  )

  api.get(
    paths.newNonce,
    {
      ...lean,
      schema: {
        ...common,
        summary: 'A nonce (RFC 8555 §7.2)',
        response: { 200: Type.String(), 204: Type.String(), ...refusals },
      },
    },
    async (request, reply) =>
      reply
        .code(request.method === 'HEAD' ? 200 : 204)
        .type('application/octet-stream')
        .send(''),
  )

  api.get(
    `${paths.renewalInfo}/:certificate`,
    {
      ...lean,
      schema: {
        ...common,
        summary: 'When a certificate should be renewed (RFC 9773)',
        params: Type.Object(
          { certificate: Type.String({ pattern: '^[A-Za-z0-9_-]{1,200}\\.[A-Za-z0-9_-]{1,60}$' }) },
          strict,
        ),
        response: { 200: Json, ...refusals },
      },
    },
    async (request, reply) => {
      const { certificate } = request.params as { certificate: string }
      reply.header('retry-after', String(RENEWAL_INFO_SECONDS))
      return renewalInfo(certificate)
    },
  )

  /** A signed request. `handle` gives what is sent. */
  function post(
    path: string,
    summary: string,
    handle: (call: Call) => Promise<object | string | undefined>,
    params?: TSchema,
  ): void {
    api.post(
      path,
      {
        ...lean,
        schema: {
          ...common,
          summary,
          consumes: [JOSE_JSON],
          body: Jws,
          ...(params === undefined ? {} : { params }),
          response: { 200: Json, 201: Json, ...refusals },
        },
      },
      async (request, reply) => {
        const addresses = addressesOf(request)
        const acme: AcmeRequest = {
          ...{ jws: request.body as Jws, url: addresses.of(request.url), addresses, requestId: request.id },
          counted: problem => parts.enrollment.counted(request, problem),
        }
        return reply.send((await handle({ acme, request, reply })) as object)
      },
    )
  }

  post(
    paths.newAccount,
    'Make an account, or find it by its key (RFC 8555 §7.3)',
    async ({ acme, reply }) => {
      const { account, isNew } = await accounts.register(await authentication.byKey(acme), acme)
      reply.code(isNew ? 201 : 200).header('location', acme.addresses.account(account.id))
      return accountResponse(account, acme.addresses)
    },
  )

  const AccountId = Type.Object({ id: Id }, strict)
  /** The caller, which must be the account that the path names. */
  async function callerNamed({ acme, request }: Call) {
    const caller = await authentication.byAccount(acme)
    if ((request.params as { id: string }).id !== caller.account.id)
      throw acmeFault('acme_unauthorized', 'the address is that of another account')
    return caller
  }
  post(
    '/acme/account/:id',
    'Read or deactivate an account (RFC 8555 §7.3.2, §7.3.6)',
    async call =>
      accountResponse(
        await accounts.update(await callerNamed(call), call.acme.requestId),
        call.acme.addresses,
      ),
    AccountId,
  )
  post(
    '/acme/account/:id/orders',
    'The orders of an account that have not ended (RFC 8555 §7.1.2.1)',
    async call => {
      const { account } = await callerNamed(call)
      return { orders: orders.ofAccount(account).map(({ id }) => call.acme.addresses.order(id)) }
    },
    AccountId,
  )
  post(paths.keyChange, 'Give an account another key (RFC 8555 §7.3.5)', async ({ acme }) =>
    accountResponse(await accounts.changeKey(await authentication.byAccount(acme), acme), acme.addresses),
  )

  post(paths.newOrder, 'Order a certificate (RFC 8555 §7.4)', async ({ acme, reply }) => {
    const { account, payload } = await authentication.byAccount(acme)
    const order = await orders.open(account, payload)
    reply.code(201).header('location', acme.addresses.order(order.id))
    return orderResponse(order, acme.addresses)
  })

  const OrderId = Type.Object({ id: Id }, strict)
  /** The caller, and the order that the path names, as it is by now. */
  async function ordered({ acme, request }: Call) {
    const { account, payload } = await authentication.byAccount(acme)
    const order = orders.find(account, (request.params as { id: string }).id)
    await orders.settle(account, order)
    return { account, payload, order }
  }
  post(
    '/acme/order/:id',
    'Read an order (RFC 8555 §7.4)',
    async call => {
      const { order } = await ordered(call)
      if (order.state === 'processing') call.reply.header('retry-after', String(PROCESSING_RETRY_SECONDS))
      return orderResponse(order, call.acme.addresses)
    },
    OrderId,
  )
  post(
    '/acme/order/:id/finalize',
    'Ask for the certificate of an order (RFC 8555 §7.4)',
    async call => {
      const { account, payload, order } = await ordered(call)
      await orders.finalize(account, order, payload, call.acme.requestId)
      call.reply.header('location', call.acme.addresses.order(order.id))
      if (order.state === 'processing') call.reply.header('retry-after', String(PROCESSING_RETRY_SECONDS))
      return orderResponse(order, call.acme.addresses)
    },
    OrderId,
  )
  post(
    '/acme/authorization/:id/:index',
    'Read an authorization, which the binding of the account made valid (RFC 8555 §7.5)',
    async call => {
      const { order, payload } = await ordered(call)
      if (payload?.['status'] === 'deactivated' && order.state === 'ready') order.state = 'invalid'
      const { index } = call.request.params as { index: number }
      return authorizationResponse(order, index)
    },
    Type.Object({ id: Id, index: Type.Integer({ minimum: 0, maximum: 99 }) }, strict),
  )

  post(
    '/acme/certificate/:fingerprint',
    'Fetch a certificate and what stands above it, without the root (RFC 8555 §7.4.2)',
    async ({ acme, request, reply }) => {
      const { account } = await authentication.byAccount(acme)
      const { fingerprint } = request.params as { fingerprint: string }
      const certificate = orders.isObtainedBy(account, fingerprint)
        ? await roll.certificate(fingerprint)
        : null
      if (certificate === null)
        throw acmeFault('acme_unauthorized', 'this account obtained no such certificate')
      const answer = toCertificateWithPemResponse(certificate, chainOf)
      reply.type(PEM_CHAIN).serializer((text: unknown) => text as string)
      return [answer.certificate, ...answer.chain].join('')
    },
    Type.Object({ fingerprint: Type.String({ pattern: '^[0-9a-f]{64}$' }) }, strict),
  )

  post(paths.revokeCert, 'Revoke a certificate (RFC 8555 §7.6)', async ({ acme, reply }) => {
    await revoke(await authentication.byEither(acme), acme.requestId)
    reply.code(200)
    return undefined
  })
}

function accountResponse({ id, deactivatedAt }: AcmeAccount, addresses: Addresses) {
  return { status: deactivatedAt === null ? 'valid' : 'deactivated', orders: addresses.orders(id) }
}
