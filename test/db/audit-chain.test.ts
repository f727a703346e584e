// The hash chain: its canonical form against RFC 8785, its writers against what a text column may hold.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { appendAudit, prepareAppendAudit } from '../../db/audit/audit.ts'
import { canonicalJson, GENESIS_HASH } from '../../db/audit-chain.ts'
import { transact } from '../../db/transact.ts'
import { createAuditLog, verifyRegistry } from '../harness/audit.ts'
import { createRoll } from '../harness/roll.ts'

describe('canonical JSON', () => {
  it('is what RFC 8785 shows', () => {
    const numbers = JSON.parse('[333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001]')
    const string = '\u20ac$\u000F\u000aA\'\u0042\u0022\u005c\\"/'
    assert.equal(
      canonicalJson({ numbers, string, literals: [null, true, false] }),
      '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],' +
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
    )
    // §3.2.3: keys in order of their UTF-16 units.
    const keys = ['\u20ac', '\r', '\ufb33', '1', '\u{1f600}', '\u0080', '\u00f6']
    assert.deepEqual(
      [...canonicalJson(Object.fromEntries(keys.map(key => [key, 0]))).matchAll(/"([^"]+)":/g)].map(
        m => m[1],
      ),
      ['\\r', '1', '\u0080', '\u00f6', '\u20ac', '\u{1f600}', '\ufb33'],
    )
  })

  it('means the same, and does not depend on the order of keys', () => {
    const shuffled = (value: unknown): unknown =>
      Array.isArray(value)
        ? value.map(shuffled)
        : typeof value === 'object' && value !== null
          ? Object.fromEntries(
              Object.entries(value)
                .reverse()
                .map(([key, item]) => [key, shuffled(item)]),
            )
          : value
    fc.assert(
      fc.property(fc.json(), text => {
        const value = JSON.parse(text)
        const canonical = canonicalJson(value)
        assert.deepEqual(JSON.parse(canonical), JSON.parse(JSON.stringify(value).toWellFormed()))
        assert.equal(canonicalJson(shuffled(value)), canonical)
        assert.equal(canonicalJson(JSON.parse(canonical)), canonical)
      }),
    )
  })
})

const odd = [
  'a\u0000b',
  'lone \ud800 surrogate',
  '"quoted" \\ and \u2028',
  '😀',
  '__proto__',
  ',"seq":7,"target":"x"',
  '\n{"checkpoint":{}}\n',
]

describe('a row', () => {
  it('is hashed as the documents say, over the hash before it', async () => {
    await using log = await createAuditLog()
    log.append(2)
    const { items } = await log.reader.search({}, 'oldest', null, 10)
    assert.equal(items[0]?.prevHash, GENESIS_HASH)
    for (const { at, detail, prevHash, hash, actorKind, ...row } of items) {
      const kind = actorKind === null ? {} : { actorKind }
      const plain = { ...row, ...kind, ts: new Date(at).toISOString(), detail: JSON.parse(detail) }
      const text = `${prevHash}${canonicalJson(plain)}`
      assert.equal(createHash('sha256').update(text).digest('hex'), hash)
    }
    assert.equal(items[1]?.prevHash, items[0]?.hash)
  })

  it('holds whatever text and detail it is given, by both writers', async () => {
    await using log = await createAuditLog()
    const append = prepareAppendAudit(log.registry.sqlite)
    for (const text of odd) {
      const detail = Object.assign(Object.create(null), { [text]: [text, 1.5, -0, null], gone: undefined })
      const entry = {
        at: 1e12,
        actor: { name: text, kind: 'local' as const, requestId: text },
        action: text,
        target: text,
        reason: text,
        detail,
      }
      await transact(log.registry, transaction => appendAudit(transaction, entry))
      log.registry.sqlite.transaction(() => append(entry)).immediate()
    }
    const { outcome, rows, fault } = await log.verify()
    assert.deepEqual([outcome, rows, fault], ['intact', 2 * odd.length, null])
  })

  it('is refused outside a transaction, and where it does not continue the last one', async () => {
    await using log = await createAuditLog()
    log.append(1)
    const append = prepareAppendAudit(log.registry.sqlite)
    const entry = { at: 1, actor: { name: 'x', kind: 'local' as const }, action: 'device.add', target: 'x' }
    assert.throws(() => append(entry), /in the transaction of its change/)
    const forge = log.registry.sqlite.prepare(
      `INSERT INTO audit (at, actor, action, target, outcome, prev_hash, hash)
       VALUES (1, 'eve', 'device.add', 'x', 'done', ?, ?)`,
    )
    assert.throws(() => forge.run(GENESIS_HASH, 'ab'.repeat(32)), /does not continue the chain/)
    assert.throws(() => log.registry.sqlite.exec('DELETE FROM audit_checkpoints; UPDATE audit SET at = 1'))
    assert.equal((await log.verify()).outcome, 'intact')
  })

  it('goes with its change: where the row cannot be written nothing is, and the chain goes on', async () => {
    const roll = await createRoll()
    const device = { id: 'd1', attributes: {}, groups: [] }
    roll.registry.sqlite.exec(
      `CREATE TEMP TRIGGER no_rows BEFORE INSERT ON main.audit BEGIN SELECT RAISE(ABORT, 'no'); END`,
    )
    await assert.rejects(roll.writer.addDevice(device, { name: 'x', kind: 'local' as const }))
    roll.registry.sqlite.exec('DROP TRIGGER no_rows')
    assert.equal(roll.registry.sqlite.prepare('SELECT count(*) FROM devices').pluck().get(), 0)
    await roll.writer.addDevice(device, { name: 'x', kind: 'local' as const })
    assert.equal((await verifyRegistry(roll.registry.file, new Map())).outcome, 'intact')
    await roll.close()
  })
})

describe('searching', () => {
  it('finds by every filter, from both ends, page by page, over windows that hold nothing', async () => {
    await using log = await createAuditLog()
    log.append(25_000)
    const { search } = log.reader
    const seqs = async (...args: Parameters<typeof search>) =>
      (await search(...args)).items.map(({ seq }) => seq)
    assert.deepEqual(await seqs({}, 'newest', null, 3), [25_000, 24_999, 24_998])
    assert.deepEqual(await seqs({}, 'oldest', null, 2), [1, 2])
    assert.deepEqual(await seqs({ target: 'd3' }, 'newest', null, 5), [3])
    assert.deepEqual(await seqs({ since: 1e12 + 4, until: 1e12 + 6 }, 'newest', null, 5), [5, 4])
    assert.deepEqual(await seqs({ since: 1e12 + 24_999 }, 'oldest', null, 5), [24_999, 25_000])
    assert.deepEqual(await seqs({ after: 24_998 }, 'oldest', null, 5), [24_999, 25_000])
    assert.deepEqual(await seqs({ after: 24_998 }, 'newest', null, 5), [25_000, 24_999])
    assert.deepEqual(await seqs({ actor: 'nobody' }, 'newest', null, 5), [])
    assert.deepEqual(await seqs({ action: 'device.*', target: 'd9' }, 'oldest', null, 5), [9])
    assert.deepEqual(await seqs({ action: 'dev.*' }, 'oldest', null, 5), [])
    assert.deepEqual(await seqs({ action: 'device.add', until: 1e12 + 2 }, 'oldest', null, 5), [1])
    for (const order of ['oldest', 'newest'] as const) {
      const seen: number[] = []
      let next: number | null = null
      do {
        const page = await search({}, order, next, 9_999)
        seen.push(...page.items.map(({ seq }) => seq))
        next = page.next
      } while (next !== null)
      assert.equal(seen.length, 25_000)
      assert.equal(new Set(seen).size, 25_000)
    }
  })
})
