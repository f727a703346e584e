// What is kept for Idempotency-Keys: bounded for each holder, so that nobody's push out those of others, and in all, whether
// the answer is kept with the key or shows a secret and is not.
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { appendAudit } from '../../db/audit/audit.ts'
import { createIdempotencyStore } from '../../db/idempotency.ts'
import type { KeyedRequest } from '../../db/keyed-changes.ts'
import { transact } from '../../db/transact.ts'
import { createRoll } from '../harness/roll.ts'

const EACH_MAX = 20_000
const ALL_MAX = 100_000
const PRUNED_EVERY = 256
const ADDED = 2 * PRUNED_EVERY

const keyed = (holderId: string, key: number | string): KeyedRequest => ({
  holderId,
  keyHash: `${key}`,
  requestHash: 'r',
})

async function registryWith(t: TestContext, holders: Record<string, number>) {
  const roll = await createRoll()
  t.after(() => roll.close())
  const { registry } = roll
  const fill = registry.sqlite.prepare(
    `WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)
     INSERT INTO idempotency_keys (holder_id, key_hash, request_hash, at) SELECT ?, 'old ' || n, 'r', n FROM numbers`,
  )
  for (const [holder, count] of Object.entries(holders)) fill.run(count, holder)
  let at = ALL_MAX
  const now = () => at++
  const store = createIdempotencyStore(registry, now)
  const count = registry.sqlite
    .prepare('SELECT count(*) FROM idempotency_keys WHERE holder_id LIKE ?')
    .pluck()
  return {
    kept: (holder: string, key: number | string) => store.findKeyed(keyed(holder, key)) !== null,
    count: (holder = '%') => count.get(holder) as number,
    answer: (holder: string, key: number) =>
      store.keepAnswer(keyed(holder, key), { status: 201, headers: {}, body: 'x' }),
    /** A change whose answer is never kept, as that of a new token. */
    change: (holder: string, key: number) =>
      transact(registry, transaction =>
        appendAudit(transaction, {
          ...{ at: now(), action: 'enrollment_token.create', target: 'x' },
          actor: { name: holder, kind: 'token', keyed: keyed(holder, key) },
        }),
      ),
  }
}

for (const how of ['answer', 'change'] as const) {
  test(`of one holder the oldest go beyond his bound, and none of another: ${how}`, async t => {
    const keys = await registryWith(t, { other: 1, flooding: EACH_MAX })
    for (let key = 0; key < ADDED; key += 1) await keys[how]('flooding', key)
    const found = [
      keys.kept('other', 'old 1'),
      keys.kept('flooding', 'old 1'),
      keys.kept('flooding', ADDED - 1),
    ]
    assert.deepEqual(found, [true, false, true])
    assert.ok(keys.count('flooding') <= EACH_MAX + PRUNED_EVERY, `${keys.count('flooding')}`)
  })
}

test('of all holders together the oldest go beyond the bound of all', async t => {
  const holders = Object.fromEntries(Array.from({ length: 5 }, (_, index) => [`h${index}`, ALL_MAX / 5]))
  const keys = await registryWith(t, holders)
  for (let key = 0; key < ADDED; key += 1) await keys.change('new', key)
  assert.ok(keys.count() <= ALL_MAX + PRUNED_EVERY, `${keys.count()}`)
  assert.deepEqual([keys.kept('h0', 'old 1'), keys.kept('new', 0)], [false, true])
})
