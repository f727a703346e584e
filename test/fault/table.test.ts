// The table of faults is held against the tests it names.
import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { faults, type Row } from './table.ts'

const root = join(import.meta.dirname, '..')

function wrong({ row, tests }: Row): string[] {
  return tests.flatMap(({ file, names = [] }) => {
    if (!existsSync(join(root, file))) return [`${row}: there is no ${file}`]
    const text = readFileSync(join(root, file), 'utf8')
    return names.filter(name => !text.includes(name)).map(name => `${row}: ${file} has no test “${name}”`)
  })
}

test('every row of the table names tests that exist', () => {
  assert.deepEqual(faults.flatMap(wrong), [])
  const bad: Row = { row: 'x', fault: '', tests: [{ file: 'fault/none.test.ts' }] }
  const worse: Row = { row: 'x', fault: '', tests: [{ file: 'fault/clock.test.ts', names: ['no such'] }] }
  assert.deepEqual([wrong(bad).length, wrong(worse).length], [1, 1], 'it can fail')
})

test('every row has a name of its own, and every test of a fault is in a row', () => {
  const names = faults.map(({ row }) => row)
  assert.deepEqual([...new Set(names)], names)
  const tried = new Set(faults.flatMap(({ tests }) => tests.map(({ file }) => file)))
  const untried = globSync('fault/*.test.ts', { cwd: root }).filter(file => !tried.has(file))
  assert.deepEqual(untried, ['fault/table.test.ts'])
})
