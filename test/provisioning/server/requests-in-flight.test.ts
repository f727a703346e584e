// How many requests of one operator with an Idempotency-Key are served at once, and what goes beside that.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { honourIdempotencyKeys } from '../../../provisioning/server/idempotency.ts'

const EACH_MAX = 2_000

test('2,000 requests of one operator with an Idempotency-Key are served at once, and revocations and others beside them', async () => {
  const hooks: Record<string, (...given: unknown[]) => Promise<unknown>> = {}
  const addHook = (name: string, hook: (...given: unknown[]) => Promise<unknown>) => {
    hooks[name] = hook
  }
  const store = { findKeyed: () => null, keepAnswer: async () => {} }
  honourIdempotencyKeys({ addHook } as never, { store: store as never, failed: assert.ifError })
  let key = 0
  const begin = async (holder: string, urgent = false) => {
    const request = {
      ...{ id: 'r', holder: { id: holder }, keyed: null, method: 'POST', url: '/v1/devices', body: {} },
      headers: { 'idempotency-key': `k${key++}` },
      routeOptions: { config: { right: { role: 'operator' }, urgent } },
    }
    await hooks['preHandler']?.(request, {})
    return () => hooks['onSend']?.(request, { statusCode: 503 }, '{}')
  }
  const busy = { message: 'too many requests of yours are being served' }

  const ends = await Promise.all(Array.from({ length: EACH_MAX }, () => begin('a')))
  await assert.rejects(begin('a'), busy)
  await (await begin('a', true))()
  await assert.rejects(begin('a'), busy, 'a revocation that is served makes no room')
  await (await begin('b'))()
  await ends[0]?.()
  await begin('a')
  await assert.rejects(begin('a'), busy)
})
