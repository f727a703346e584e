// What policies come to, before and after a change: the effective policy of a device, simulation, the trial on the fleet.
// Changes nothing.

import type { FastifyReply, FastifyRequest } from 'fastify'
import type { PolicyHolder, PolicyReader } from '../../db/policies/policy-reader.ts'
import type { PolicyDocument } from '../../policy/document.ts'
import { type Api, refusals, secured } from '../http/api.ts'
import { httpProblems } from '../http/http-problems.ts'
import { Problem } from '../http/problem.ts'
import { rollProblems } from '../http/roll-problems.ts'
import { DeviceParams, NoQuery } from '../http/schemas.ts'
import type { FleetTrials } from './fleet-trials.ts'
import { policyBody, validatedDocument } from './policy-body.ts'
import { policyProblems } from './policy-problems.ts'
import type { PolicyResolver } from './policy-resolver.ts'
import { toPolicyResponse } from './policy-response.ts'
import * as schemas from './policy-schemas.ts'

export type PolicyTrialServices = {
  policies: PolicyReader
  policyResolver: PolicyResolver
  fleetTrials: FleetTrials
}

const DEVICES_LISTED = 100
/** Trials on the fleet of one operator at once, so that nobody keeps others from theirs; the next may begin while the last is given up. */
const TRIALS_EACH_MAX = 2

export function policyTrialRoutes(
  api: Api,
  { policies, policyResolver, fleetTrials }: PolicyTrialServices,
): void {
  const tags = ['policies']
  const running = new Map<string, number>()

  /** How many trials of this operator run. Throws the problem `service_busy` where no more may begin. */
  function ownTrials(operator: string): number {
    const own = running.get(operator) ?? 0
    if (own < TRIALS_EACH_MAX) return own
    throw new Problem(httpProblems, 'service_busy', `${own} trials of yours on the fleet run already`)
  }

  async function asOneOf<Result>(operator: string, trial: () => Promise<Result>): Promise<Result> {
    running.set(operator, ownTrials(operator) + 1)
    try {
      return await trial()
    } finally {
      const left = running.get(operator)! - 1
      if (left === 0) running.delete(operator)
      else running.set(operator, left)
    }
  }

  function holderOf(deviceId: string, fingerprint: string | undefined): PolicyHolder {
    const holder = policies.holder(deviceId, fingerprint)
    if (holder === null)
      throw new Problem(rollProblems, 'device_unknown', `no device ${deviceId} is registered`)
    if (fingerprint !== undefined && holder.certificate === null) {
      throw new Problem(
        rollProblems,
        'certificate_unknown',
        `device ${deviceId} has no certificate ${fingerprint}`,
      )
    }
    return holder
  }

  /** The draft that was sent, else the stored document. */
  function draftOf(name: string, sent: unknown): PolicyDocument {
    if (sent !== undefined) return validatedDocument(sent, name, 'body.document')
    const stored = policies.policy(name)
    if (stored === null)
      throw new Problem(policyProblems, 'policy_unknown', `no policy ${name}: send a document to try one`)
    return toPolicyResponse(stored).document
  }

  api.get(
    '/v1/devices/:id/policy',
    {
      schema: {
        tags,
        security: secured,
        summary: 'What binds a device: every statement that holds for it, variables filled in',
        description: 'With the newest certificate that admits, or the one named.',
        params: DeviceParams,
        querystring: schemas.HolderQuery,
        response: { 200: schemas.EffectivePolicy, ...refusals },
      },
    },
    async request => {
      const holder = holderOf(request.params.id, request.query.certificate)
      return policyResolver.effective(holder, goneAway(request))
    },
  )

  api.post(
    '/v1/policies/:name/simulate',
    {
      ...policyBody(schemas.Simulation),
      schema: {
        tags,
        security: secured,
        summary: "What a draft would do to a device's topics, beside what holds now",
        description:
          'Judged as if the policy held for the device, together with all others that do. Without a document, the stored one.',
        params: schemas.PolicyParams,
        querystring: NoQuery,
        body: schemas.SimulationDocumented,
        response: { 200: schemas.SimulationResult, ...refusals },
      },
    },
    async request => {
      const { document, deviceId, certificate, checks } = request.body
      const questions = checks.map(({ action, topic, qos = 0, retain = false }) => ({
        action,
        topic,
        qos,
        retain,
      }))
      const holder = holderOf(deviceId, certificate)
      return policyResolver.simulate(
        holder,
        draftOf(request.params.name, document),
        questions,
        goneAway(request),
      )
    },
  )

  api.post(
    '/v1/policies/:name/simulate/fleet',
    {
      ...policyBody(schemas.Trial),
      // Before the body is read: to parse 64 KiB costs more than to refuse it.
      onRequest: async ({ holder }) => {
        ownTrials(holder?.id ?? '')
      },
      schema: {
        tags,
        security: secured,
        summary: 'Rights that devices would lose: a draft, other attachments, or both, tried on every device',
        description:
          'Live subscriptions are those that brokers noted, at most some seconds ago. Devices that lose something come first. Worked on beside other requests; 422 trial_too_large where it would compare more than 20,000,000 filters or take more than 6 s of work.',
        params: schemas.PolicyParams,
        querystring: NoQuery,
        body: schemas.TrialDocumented,
        response: { 200: schemas.TrialResult, ...refusals },
      },
    },
    async (request, reply) => {
      const gone = goneSignal(reply)
      const result = await asOneOf(request.holder?.id ?? '', async () => {
        const { name } = request.params
        const { document, attachments, limit = DEVICES_LISTED } = request.body
        const draft = { name, document: draftOf(name, document) }
        if (attachments === undefined) return fleetTrials.run(draft, limit, gone)
        const targets = attachments.map(({ kind, target = '' }, index) => {
          if ((kind === 'everyone') === (target === '')) return { kind, target }
          const message = kind === 'everyone' ? 'everyone has no target' : `a ${kind} must be named`
          throw new Problem(httpProblems, 'request_invalid', 'the body is not valid', {
            errors: [{ path: `body.attachments.${index}.target`, message }],
          })
        })
        return fleetTrials.run({ ...draft, attachments: targets }, limit, gone)
      })
      // It is JSON already: to parse and write a megabyte again would hold the event loop.
      return reply
        .type('application/json; charset=utf-8')
        .serializer((text: unknown) => text as string)
        .send(result as never)
    },
  )
}

/** Aborted where the connection ends before the answer. */
function goneSignal({ raw }: FastifyReply): AbortSignal {
  const gone = new AbortController()
  raw.once('close', () => gone.abort())
  return gone.signal
}

/** Whether nobody waits for the answer any more. */
function goneAway({ raw }: FastifyRequest): () => boolean {
  return () => raw.socket.destroyed
}
