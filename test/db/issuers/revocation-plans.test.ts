// How SQLite reads what CRLs are made of: no question of it may look at every certificate of an issuer.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Database } from 'better-sqlite3'
import { prepareRevocationReader } from '../../../db/issuers/revocation-reader.ts'
import { createRoll } from '../../harness/roll.ts'

/** One issuer signs all certificates of a fleet: with this alone a search is a walk over them. */
const WALK = /(SCAN c\b(?!hanges)|\(issuer_id=\?\))/

test('withdrawn certificates are found without looking at every certificate of the issuer', async () => {
  const roll = await createRoll()
  const asked: string[] = []
  const noting = new Proxy(roll.registry.sqlite, {
    get(target, name) {
      const value = Reflect.get(target, name)
      if (name !== 'prepare') return typeof value === 'function' ? value.bind(target) : value
      return (sql: string) => {
        asked.push(sql)
        return target.prepare(sql)
      }
    },
  }) as Database
  prepareRevocationReader(noting)
  assert.ok(asked.length >= 6)
  const plans = asked.map(sql => planOf(roll.registry.sqlite, sql))
  for (const plan of plans) assert.doesNotMatch(plan, WALK)
  const walk = 'SELECT * FROM certificates c WHERE c.issuer_id = ?'
  assert.match(planOf(roll.registry.sqlite, walk), WALK, 'the test can fail')
  await roll.close()
})

function planOf(sqlite: Database, sql: string): string {
  const holes = Array.from(sql.matchAll(/\?/g), () => null)
  return (sqlite.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(...holes) as { detail: string }[])
    .map(({ detail }) => detail)
    .join('\n')
}
