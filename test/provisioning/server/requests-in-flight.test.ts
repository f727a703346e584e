// How many requests of one operator with an Idempotency-Key are served at once, and what goes beside that.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fastify, { type FastifyRequest } from 'fastify'
import type { Problem } from '../../../provisioning/http/problem.ts'
import { honourIdempotencyKeys } from '../../../provisioning/server/idempotency.ts'

const EACH_MAX = 2_000

test('2,000 requests of one operator with an Idempotency-Key are served at once, and revocations and others beside them', async () => {
  const api = fastify()
  for (const name of ['holder', 'keyed'] as const) api.decorateRequest(name, null)
  api.addHook('onRequest', async request => {
    request.holder = { id: request.headers['x-holder'] } as unknown as FastifyRequest['holder']
  })
  const store = { findKeyed: () => null, keepAnswer: async () => {} }
  honourIdempotencyKeys(api as never, { store: store as never, failed: assert.ifError })
  api.setErrorHandler<Problem>((error, _, reply) => reply.code(503).send({ detail: error.message }))
  const held = Promise.withResolvers<void>()
  let serving = 0
  for (const [path, urgent] of [
    ['/change', false],
    ['/revoke', true],
  ] as const)
    api.post(
      path,
      { config: { right: { role: 'operator' }, urgent, replay: async () => null } as never },
      async () => {
        serving += 1
        if (!urgent) await held.promise
        return {}
      },
    )
  let key = 0
  const send = (holder: string, url = '/change') =>
    api.inject({ method: 'POST', url, headers: { 'x-holder': holder, 'idempotency-key': `k${key++}` } })
  const flood = (holder: string) => Array.from({ length: EACH_MAX }, () => send(holder))

  const answers = flood('a')
  while (serving < EACH_MAX) await new Promise(setImmediate)
  const refused = await send('a')
  assert.deepEqual(
    [refused.statusCode, refused.json().detail],
    [...[503, 'too many requests of yours are being served']],
  )
  assert.equal((await send('a', '/revoke')).statusCode, 200)
  const other = send('b')
  while (serving < EACH_MAX + 2) await new Promise(setImmediate)
  held.resolve()
  assert.ok((await Promise.all([...answers, other])).every(({ statusCode }) => statusCode === 200))
  // What was refused or served holds no place.
  assert.equal((await send('a')).statusCode, 200)
  await api.close()
})
