// Answers kept for Idempotency-Keys: bounded for each holder, so that nobody's push out those of others.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createIdempotencyStore } from '../../db/idempotency.ts'
import { createRoll } from '../harness/roll.ts'

test('of one holder the oldest answers go beyond his bound, and none of another', async t => {
  const roll = await createRoll()
  t.after(() => roll.close())
  let at = 1
  const store = createIdempotencyStore(roll.registry, () => at++, 100)
  const answer = { status: 201, headers: {}, body: 'x' }
  const keyed = (holderId: string, key: number) =>
    ({ holderId, keyHash: `${key}`, requestHash: 'r' }) as never
  await store.keepAnswer(keyed('other', 0), answer)
  for (let key = 0; key < 600; key += 1) await store.keepAnswer(keyed('flooding', key), answer)
  const kept = (holderId: string, key: number) => store.findKeyed({ holderId, keyHash: `${key}` }) !== null
  assert.deepEqual([kept('other', 0), kept('flooding', 0), kept('flooding', 599)], [true, false, true])
  const count = roll.registry.sqlite.prepare(
    "SELECT count(*) FROM idempotency_keys WHERE holder_id = 'flooding'",
  )
  assert.ok((count.pluck().get() as number) <= 100 + 256)
})
