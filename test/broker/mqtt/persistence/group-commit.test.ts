// Many writes, one transaction, one wait for the disk; what is lost is lost as a whole, and waiting writers are told.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import Sqlite from 'better-sqlite3'
import { createGroupCommit } from '../../../../broker/mqtt/persistence/group-commit.ts'

function world() {
  const sqlite = new Sqlite(':memory:')
  sqlite.exec('CREATE TABLE kept (value INTEGER UNIQUE)')
  const syncs: { resolve(): void; reject(error: Error): void }[] = []
  const lost: unknown[] = []
  const commit = createGroupCommit({
    sqlite,
    sync: () => new Promise((resolve, reject) => syncs.push({ resolve: () => resolve(new Map()), reject })),
    onLost: error => lost.push(error),
    onKept() {},
  })
  const insert = sqlite.prepare('INSERT INTO kept VALUES (?)')
  return {
    commit,
    sqlite,
    syncs,
    lost,
    put: (value: number) => insert.run(value),
    values: () => sqlite.prepare('SELECT value FROM kept ORDER BY value').pluck().all(),
    /** Whether a promise has settled by now, and how. */
    async fate(promise: Promise<void>): Promise<string> {
      const pending = new Promise<string>(resolve => setImmediate(resolve, 'waits'))
      return Promise.race([promise.then(() => 'kept').catch(() => 'lost'), pending])
    },
  }
}

const turn = () => new Promise(resolve => setImmediate(resolve))

test('what is written while the disk is busy goes together next', async () => {
  const { commit, syncs, put, values, fate } = world()
  commit.write(() => put(1))
  const first = commit.kept()
  await turn()
  assert.equal(syncs.length, 1)
  for (const value of [2, 3]) commit.write(() => put(value))
  const second = commit.kept()
  await turn()
  assert.equal(syncs.length, 1, 'one flush at a time')
  assert.deepEqual([await fate(first), await fate(second)], ['waits', 'waits'])
  syncs[0]!.resolve()
  assert.deepEqual([await fate(first), await fate(second)], ['kept', 'waits'])
  assert.equal(syncs.length, 2)
  syncs[1]!.resolve()
  assert.equal(await fate(second), 'kept')
  assert.deepEqual(values(), [1, 2, 3])
})

test('a write that fails loses its group: what was derived is undone, what is owed is done again', async () => {
  const { commit, syncs, put, values, fate, lost } = world()
  const undone: number[] = []
  commit.owe(() => put(1))
  commit.write(() => put(2))
  commit.undo(() => undone.push(2))
  const group = commit.kept()
  assert.throws(() => commit.write(() => put(2)), /UNIQUE/)
  assert.throws(() => commit.write(() => put(3)), /UNIQUE/, 'nor is anything written beside it in this turn')
  assert.equal(await fate(group), 'lost')
  assert.deepEqual([undone, lost.length, values(), syncs.length], [[2], 1, [], 0])
  commit.write(() => put(4))
  await turn()
  syncs[0]!.resolve()
  assert.equal(await fate(commit.kept()), 'kept')
  assert.deepEqual(values(), [1, 4])
})

test('a disk that loses what it had accepted is not believed again', async () => {
  const { commit, syncs, put, fate } = world()
  commit.write(() => put(1))
  const group = commit.kept()
  await turn()
  syncs[0]!.reject(new Error('EIO'))
  assert.equal(await fate(group), 'lost')
  assert.throws(() => commit.write(() => put(2)), /EIO/)
})

test('an attempt that fails is undone alone: what was written before and after it is kept', async () => {
  const { commit, syncs, put, values, fate, lost } = world()
  commit.write(() => put(1))
  const attempt = () =>
    commit.attempt(() => {
      put(2)
      put(1)
    })
  assert.throws(attempt, /UNIQUE/)
  assert.equal(
    commit.attempt(() => put(3).changes),
    1,
  )
  commit.write(() => put(4))
  const group = commit.kept()
  await turn()
  syncs[0]!.resolve()
  assert.equal(await fate(group), 'kept')
  assert.deepEqual([values(), lost], [[1, 3, 4], []])
})

test('where an attempt that fails cannot be undone its group is lost: no half of it is kept', async () => {
  const { commit, sqlite, put, values, fate, lost } = world()
  commit.write(() => put(1))
  const exec = sqlite.exec.bind(sqlite)
  sqlite.exec = source => {
    if (source.startsWith('ROLLBACK TO')) throw new Error('EIO')
    return exec(source)
  }
  const attempt = () =>
    commit.attempt(() => {
      put(2)
      put(1)
    })
  assert.throws(attempt, /UNIQUE/)
  const group = commit.kept()
  await turn()
  assert.equal(await fate(group), 'lost')
  assert.deepEqual([values(), lost.length], [[], 1])
})
