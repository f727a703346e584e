// Brokers: the list, and draining one. A broker reads from the registry that it is drained, and says there how far it is.
import type { RegistryWriter } from '../../db/index.ts'
import type { NodeReader } from '../../db/nodes/node-reader.ts'
import { serverReference } from '../../db/nodes/server-reference.ts'
import { type Api, refusals, secured } from '../http/api.ts'
import { decodeCursor } from '../http/cursor.ts'
import { httpProblems } from '../http/http-problems.ts'
import { Problem } from '../http/problem.ts'
import * as schemas from '../http/schemas.ts'
import type { Log } from '../logging/log.ts'
import { actorOf, callerOf } from '../operators/authentication.ts'
import { toNodeResponse } from './node-response.ts'
import { Drain, Node, NodeChange, NodeParams, OVER_SECONDS_DEFAULT } from './node-schemas.ts'

export type NodeServices = { writer: RegistryWriter; nodes: NodeReader; log: Log; now: () => number }

export function nodeRoutes(api: Api, { writer, nodes, log, now }: NodeServices): void {
  const about = { tags: ['service'], security: secured }
  const all = () => nodes(now()).map(node => toNodeResponse(node, now()))

  /** One that is drained may have been stopped since: it is none of those that run. */
  const changeOf = (name: string, changed: boolean) => ({
    changed,
    name,
    node: all().find(({ node }) => node === name) ?? null,
  })

  api.get(
    '/v1/nodes',
    {
      schema: {
        ...about,
        summary: 'List the brokers that run, as each last said of itself',
        querystring: schemas.PageQuery,
        response: { 200: schemas.PageOf(Node), ...refusals },
      },
    },
    async request => {
      decodeCursor(request.query.cursor, () => false)
      return { items: all(), nextCursor: null }
    },
  )

  api.post(
    '/v1/nodes/:node/drain',
    {
      config: { replay: async done => changeOf(done.target, true) },
      schema: {
        ...about,
        summary: 'Drain a broker: it takes no session, and those that it has end over a time',
        description:
          'It is not ready until it is resumed, through restarts too. Clients of MQTT 5 are told 0x9C or 0x9D, by CONNACK where they come and by DISCONNECT where they are connected. Answers at once: sessions in the list of brokers says how many are left. The same again changes nothing; another one takes its place.',
        params: NodeParams,
        querystring: schemas.NoQuery,
        body: Drain,
        response: { 200: NodeChange, ...refusals },
      },
    },
    async request => {
      const { node } = request.params
      const {
        overSeconds = OVER_SECONDS_DEFAULT,
        moved = false,
        serverReference: to = '',
      } = request.body ?? {}
      const order = { overMs: overSeconds * 1000, moved, serverReference: serversOf(to) }
      const changed = await writer.drainNode(node, order, actorOf(request))
      if (changed) log.nodeDrained(callerOf(request), node, order)
      return changeOf(node, changed)
    },
  )

  api.post(
    '/v1/nodes/:node/resume',
    {
      config: { replay: async done => changeOf(done.target, true) },
      schema: {
        ...about,
        summary: 'Let a drained broker take sessions again',
        params: NodeParams,
        querystring: schemas.NoQuery,
        body: schemas.NoBody,
        response: { 200: NodeChange, ...refusals },
      },
    },
    async request => {
      const { node } = request.params
      const changed = await writer.resumeNode(node, actorOf(request))
      if (changed) log.nodeResumed(callerOf(request), node)
      return changeOf(node, changed)
    },
  )
}

function serversOf(text: string): string {
  try {
    return serverReference(text).join(' ')
  } catch (error) {
    const { message } = error as Error
    throw new Problem(httpProblems, 'request_invalid', `serverReference: ${message}`, {
      errors: [{ path: '/serverReference', message }],
    })
  }
}
