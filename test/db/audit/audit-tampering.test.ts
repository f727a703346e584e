// Hands in the file: every way to bend the audit log, and the row that the verifier names for it.
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { describe, it } from 'node:test'
import type { Database } from 'better-sqlite3'
import { signCheckpoint } from '../../../db/audit/audit-checkpoint.ts'
import type { AuditFault } from '../../../db/audit/audit-fault.ts'
import { GENESIS_HASH } from '../../../db/audit-chain.ts'
import { createAuditLog, rehash } from '../../harness/audit.ts'

/** 20 rows, checkpoints at 8 and 16. */
async function sealedLog() {
  const log = await createAuditLog()
  log.append(8)
  await log.seal()
  log.append(8)
  await log.seal()
  log.append(4)
  return log
}

type Bent = [
  what: string,
  edit: (sqlite: Database) => void,
  kind: AuditFault['kind'],
  seq: number,
  through?: number,
]

const sql = (text: string) => (sqlite: Database) => void sqlite.exec(text)
/** Gives rows new numbers, over numbers that nobody has. */
const renumber = (from: number, through: number, by: number) =>
  sql(`UPDATE audit SET seq = seq + 1000 WHERE seq BETWEEN ${from} AND ${through};
       UPDATE audit SET seq = seq - 1000 + ${by} WHERE seq > 1000`)
const swap = (a: number, b: number) =>
  sql(`UPDATE audit SET seq = 1000 WHERE seq = ${a}; UPDATE audit SET seq = ${a} WHERE seq = ${b};
       UPDATE audit SET seq = ${b} WHERE seq = 1000`)
const countTo = (rows: number) => sql(`UPDATE sqlite_sequence SET seq = ${rows} WHERE name = 'audit'`)
const insert = (seq: number, prevHash: string, hash: string) =>
  sql(`INSERT INTO audit (seq, at, actor, action, target, outcome, prev_hash, hash)
       VALUES (${seq}, 1, 'eve', 'device.add', 'x', 'done', '${prevHash}', '${hash}')`)
const hashOf = (sqlite: Database, seq: number) =>
  sqlite.prepare<[number], string>('SELECT hash FROM audit WHERE seq = ?').pluck().get(seq)!
const all =
  (...edits: ((sqlite: Database) => void)[]) =>
  (sqlite: Database) => {
    for (const edit of edits) edit(sqlite)
  }
const junk = 'ab'.repeat(32)

const values: Record<string, string> = {
  at: '1',
  actor: "'eve'",
  action: "'device.change'",
  target: "'elsewhere'",
  outcome: "'refused'",
  reason: "'because'",
  request_id: "'r'",
  detail: "'{}'",
  prev_hash: `'${junk}'`,
  hash: `'${junk}'`,
}

const bent: Bent[] = [
  ...Object.entries(values).flatMap(([column, value]): Bent[] => [
    [`${column} of a row`, sql(`UPDATE audit SET ${column} = ${value} WHERE seq = 5`), 'changed', 5],
    [`${column} of the first row`, sql(`UPDATE audit SET ${column} = ${value} WHERE seq = 1`), 'changed', 1],
    [
      `${column} of the last sealed row`,
      sql(`UPDATE audit SET ${column} = ${value} WHERE seq = 16`),
      'changed',
      16,
    ],
  ]),
  [
    'a detail in other words',
    sql(`UPDATE audit SET detail = '{"from":"registered","deviceId":"d5"}' WHERE seq = 5`),
    'changed',
    5,
  ],
  ['a time that is none', sql('UPDATE audit SET at = 9000000000000000000 WHERE seq = 5'), 'changed', 5],
  ['several rows', sql("UPDATE audit SET actor = 'eve' WHERE seq > 6"), 'changed', 7],
  [
    'the last row, which no checkpoint covers',
    sql("UPDATE audit SET actor = 'eve' WHERE seq = 20"),
    'appended',
    20,
  ],
  [
    'a row and its own hash',
    all(sql("UPDATE audit SET actor = 'eve' WHERE seq = 5"), s => rehash(s, 5, 5)),
    'changed',
    5,
  ],
  [
    'a row and all hashes after it',
    all(sql("UPDATE audit SET actor = 'eve' WHERE seq = 11"), s => rehash(s, 11)),
    'changed',
    9,
    16,
  ],
  [
    'a row and all hashes up to the checkpoint',
    all(sql("UPDATE audit SET actor = 'eve' WHERE seq = 5"), s => rehash(s, 5, 8)),
    'changed',
    1,
    8,
  ],
  ['the first row gone', sql('DELETE FROM audit WHERE seq = 1'), 'removed', 1],
  ['a row gone', sql('DELETE FROM audit WHERE seq = 5'), 'removed', 5],
  ['rows gone', sql('DELETE FROM audit WHERE seq BETWEEN 5 AND 7'), 'removed', 5, 7],
  [
    'a row gone and the rest renumbered',
    all(sql('DELETE FROM audit WHERE seq = 5'), renumber(6, 20, -1)),
    'removed',
    5,
  ],
  [
    'rows gone and the rest renumbered',
    all(sql('DELETE FROM audit WHERE seq < 4'), renumber(4, 20, -3)),
    'removed',
    1,
    3,
  ],
  [
    'a row gone, the rest renumbered and chained anew',
    all(sql('DELETE FROM audit WHERE seq = 5'), renumber(6, 20, -1), s => rehash(s, 5)),
    'changed',
    1,
    8,
  ],
  ['the tail gone', sql('DELETE FROM audit WHERE seq > 18'), 'removed', 19, 20],
  [
    'the tail gone from within what is sealed',
    all(sql('DELETE FROM audit WHERE seq > 13'), countTo(13)),
    'removed',
    14,
    16,
  ],
  ['all rows gone', all(sql('DELETE FROM audit'), countTo(0)), 'removed', 1, 8],
  ['two neighbours swapped', swap(5, 6), 'reordered', 5],
  ['two distant rows swapped', swap(3, 14), 'reordered', 3],
  ['the first two rows swapped', swap(1, 2), 'reordered', 1],
  [
    'the contents of two rows swapped',
    sql(`UPDATE audit SET target = CASE seq WHEN 5 THEN 'd6' ELSE 'd5' END WHERE seq IN (5, 6)`),
    'changed',
    5,
  ],
  ['a row appended', insert(21, junk, junk), 'appended', 21],
  ['a row appended that names the hash before', s => insert(21, hashOf(s, 20), junk)(s), 'appended', 21],
  ['a row appended with a gap', insert(40, junk, junk), 'appended', 40],
  ['rows appended', all(insert(21, junk, junk), insert(22, junk, junk)), 'appended', 21],
  ['a row put in', all(renumber(5, 20, 1), s => insert(5, hashOf(s, 4), junk)(s)), 'appended', 5],
  [
    'a row put in with a hash that fits',
    all(
      renumber(5, 20, 1),
      s => insert(5, hashOf(s, 4), junk)(s),
      s => rehash(s, 5, 5),
    ),
    'appended',
    5,
  ],
  [
    'the log begun anew',
    all(sql('DELETE FROM audit'), countTo(20), insert(1, GENESIS_HASH, junk), s => rehash(s, 1)),
    'removed',
    2,
    8,
  ],
  ['a checkpoint gone', sql('DELETE FROM audit_checkpoints WHERE number = 1'), 'checkpoint', 16],
  ['the last checkpoint gone', sql('DELETE FROM audit_checkpoints WHERE number = 2'), 'checkpoint', 20],
  ['all checkpoints gone', sql('DELETE FROM audit_checkpoints'), 'checkpoint', 20],
  ...[
    'seq = 7',
    'seq = 9',
    'seq = 3000',
    `hash = '${junk}'`,
    'at = 5',
    "signature = 'xx'",
    "signature = ''",
  ].map(
    (change): Bent => [
      `a checkpoint with ${change.slice(0, 20)}`,
      sql(`UPDATE audit_checkpoints SET ${change} WHERE number = 1`),
      'checkpoint',
      change === 'seq = 7' ? 7 : change === 'seq = 9' ? 9 : change === 'seq = 3000' ? 20 : 8,
    ],
  ),
]

describe('verifying', () => {
  it('finds nothing in a log that nobody bent', async () => {
    await using log = await sealedLog()
    assert.deepEqual(
      { ...(await log.verify()), lastHash: null },
      {
        outcome: 'intact',
        rows: 20,
        lastSeq: 20,
        lastHash: null,
        checkpoints: 2,
        sealedThrough: 16,
        unsealedRows: 4,
        unsealedSince: new Date(1e12 + 17).toISOString(),
        fault: null,
      },
    )
  })

  it('finds nothing in an empty log', async () => {
    await using log = await createAuditLog()
    const { outcome, rows, unsealedSince } = await log.verify()
    assert.deepEqual([outcome, rows, unsealedSince], ['intact', 0, null])
  })

  for (const [what, edit, kind, seq, through = seq] of bent) {
    it(`names the first row: ${what}`, async () => {
      await using log = await sealedLog()
      log.bend(edit)
      const { outcome, fault } = await log.verify()
      assert.equal(outcome, 'tampered')
      assert.deepEqual(
        { kind: fault?.kind, seq: fault?.seq, through: fault?.through },
        { kind, seq, through },
        fault?.message ?? 'no fault',
      )
    })
  }

  it('leaves a trace where the tail was cut off and others went on writing', async () => {
    await using log = await sealedLog()
    log.bend(sqlite => sqlite.exec('DELETE FROM audit WHERE seq > 18'))
    log.append(5)
    const { fault } = await log.verify()
    assert.deepEqual([fault?.kind, fault?.seq, fault?.through], ['removed', 19, 20])
  })

  it('says how many rows could be cut off unseen, where the count was set back too', async () => {
    await using log = await sealedLog()
    log.bend(all(sql('DELETE FROM audit WHERE seq > 17'), countTo(17)))
    const { outcome, unsealedRows, sealedThrough } = await log.verify()
    assert.deepEqual([outcome, unsealedRows, sealedThrough], ['intact', 1, 16])
  })

  it('takes checkpoints of the keys it was given, and of no other', async () => {
    await using log = await sealedLog()
    const stranger = generateKeyPairSync('ed25519').privateKey
    const { end } = log.reader.extent()
    const { keyId, ...forged } = signCheckpoint({ ...end, number: 3, at: 1 }, stranger)
    log.bend(sqlite =>
      sqlite
        .prepare('INSERT INTO audit_checkpoints VALUES (@number, @seq, @hash, @at, @keyId, @signature)')
        .run({ ...forged, keyId }),
    )
    const { fault } = await log.verify()
    assert.match(`${fault?.kind} ${fault?.message}`, /^checkpoint .*key [0-9a-f]{64}, which was not given/)
  })
})
