// Searches of the audit log: the same rows whichever index gives them, also where the clock was put back.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { prepareAppendAudit } from '../../../db/audit/audit.ts'
import { type AuditReader, createAuditReader } from '../../../db/audit/audit-reader.ts'
import { createAuditLog } from '../../harness/audit.ts'

type Filter = Parameters<AuditReader['search']>[0]
type Row = { seq: number; at: number; actor: string; action: string; target: string }

const ROWS = 2_000
const DAY_MS = 86_400_000
const BEGIN = 1.7e12

/** A clock that is put back by two days every 300 rows, and by years once. */
function timeOf(seq: number): number {
  const early = seq >= 900 && seq < 950 ? 800 * DAY_MS : 0
  return BEGIN + seq * 3_600_000 - Math.floor(seq / 300) * 2 * DAY_MS - early
}

test('finds what fits, in order and page by page, for every filter and pair of filters', async () => {
  await using log = await createAuditLog()
  const append = prepareAppendAudit(log.registry.sqlite)
  const rows: Row[] = []
  log.registry.sqlite.transaction(() => {
    for (let seq = 1; seq <= ROWS; seq += 1) {
      const actor = seq % 7 === 0 ? 'anna' : 'import'
      const action = seq === 1_500 ? 'operator.add' : seq % 3 === 0 ? 'device.suspend' : 'device.add'
      const row = { at: timeOf(seq), action, target: `d${seq % 50}` }
      append({ ...row, actor: { name: actor, kind: 'token' }, detail: {} })
      rows.push({ ...row, seq, actor })
    }
  })()
  const filters: Filter[] = [
    {},
    { actor: 'anna' },
    { action: 'device.suspend' },
    { action: 'operator.add' },
    { action: 'device.*' },
    { target: 'd7' },
    { since: timeOf(700) },
    { until: timeOf(700) },
    { since: timeOf(600), until: timeOf(610) },
    { since: timeOf(940), until: timeOf(945) },
    { since: BEGIN + 9e11 },
    { after: 1_200 },
  ]
  const fits = (row: Row, { actor, action, target, since, until, after }: Filter) =>
    (actor === undefined || row.actor === actor) &&
    (action === undefined || new RegExp(`^${action.replace('*', '')}`).test(row.action)) &&
    (target === undefined || row.target === target) &&
    row.at >= (since ?? 0) &&
    row.at < (until ?? Number.MAX_SAFE_INTEGER) &&
    row.seq > (after ?? 0)
  // With the bound a time of many rows is not looked up.
  for (const reader of [log.reader, createAuditReader(log.registry, 100)])
    for (const one of filters)
      for (const other of filters) {
        const filter = { ...one, ...other }
        const expected = rows.filter(row => fits(row, filter)).map(({ seq }) => seq)
        for (const order of ['oldest', 'newest'] as const)
          assert.deepEqual(
            await found(reader, filter, order),
            order === 'oldest' ? expected : expected.toReversed(),
            JSON.stringify({ filter, order }),
          )
      }
})

/** Numbers of all rows, by pages. */
async function found(reader: AuditReader, filter: Filter, order: 'oldest' | 'newest'): Promise<number[]> {
  const seqs: number[] = []
  for (let after: number | null = null; ; ) {
    const page = await reader.search(filter, order, after, 300)
    seqs.push(...page.items.map(({ seq }) => seq))
    if (page.next === null) return seqs
    after = page.next
  }
}

test('a time is found by its index', async () => {
  await using log = await createAuditLog()
  const plan = log.registry.sqlite
    .prepare<[], { detail: string }>('EXPLAIN QUERY PLAN SELECT seq FROM audit WHERE at >= 1 AND at < 2')
    .all()
  assert.match(plan[0]!.detail, /USING COVERING INDEX audit_by_time/)
})
