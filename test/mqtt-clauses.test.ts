// docs/mqtt.md against the standards' own numbers: every statement that there is has its row, once, and tests that exist.
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { numbers5, numbers311 } from './harness/mqtt-statements.ts'

const page = readFileSync(join(import.meta.dirname, '..', 'docs', 'mqtt.md'), 'utf8')
const [, clauses = ''] = page.split('## Clause by clause')

/** `3.8.4-4, -5; 3.9.3-1` and `3.1.2-1 to -3` as single numbers. */
function numbersOf(cell: string): string[] {
  return cell.split(/[;]| and (?=\d)/).flatMap(part => {
    let section = ''
    return [...part.matchAll(/(?:(\d[\d.]*))?-(\d+)(?: to -(\d+))?/g)].flatMap(([, named, from, to]) => {
      section = named ?? section
      const first = Number(from)
      const last = Number(to ?? from)
      return Array.from({ length: last - first + 1 }, (_, index) => `${section}-${first + index}`)
    })
  })
}

/** `a{,-v5}` as `a` and `a-v5`. */
function expand(text: string): string[] {
  const [whole, before = '', endings = ''] = /^(.*)\{(.*)\}$/.exec(text) ?? []
  return whole === undefined ? [text] : endings.split(',').map(ending => before + ending)
}

const rows = clauses
  .split('\n')
  .filter(line => /^\| (?!3\.1\.1 \|)/.test(line) && !line.startsWith('|---'))
  .map(line => line.slice(2, -2).split(' | '))
const bindClients = (standard: string): string[] =>
  numbersOf(new RegExp(`Of ${standard} the rest binds clients alone: (.*)\\.`).exec(clauses)?.[1] ?? '')

test('docs/mqtt.md names every statement of MQTT 3.1.1 once', () => {
  const named = [...rows.flatMap(([clause = '']) => numbersOf(clause)), ...bindClients('3.1.1')]
  assert.deepEqual(named.toSorted(), numbers311.toSorted())
  assert.deepEqual(numbersOf('3.8.4-4, -5; 3.9.3-1 to -3'), [
    '3.8.4-4',
    '3.8.4-5',
    '3.9.3-1',
    '3.9.3-2',
    '3.9.3-3',
  ])
})

test('docs/mqtt.md names every statement of MQTT 5', () => {
  const named = new Set([...rows.flatMap(([, clause = '']) => numbersOf(clause)), ...bindClients('5')])
  assert.deepEqual([...named].toSorted(), numbers5.toSorted())
})

test('docs/mqtt.md says of every statement what the broker does, and names tests that exist', () => {
  assert.deepEqual(expand('a/b{,-v5}'), ['a/b', 'a/b-v5'])
  for (const [clause, ...rest] of rows) {
    const tests = rest.at(-1) ?? ''
    assert.ok((rest.at(-2) ?? '').length > 5, `${clause} says nothing`)
    if (tests === '–') continue
    for (const name of [...tests.matchAll(/`([^`]+)`/g)].flatMap(([, text = '']) => expand(text))) {
      const file = name.startsWith('test/') ? name.slice(5) : `broker/${name}.test.ts`
      assert.ok(existsSync(join(import.meta.dirname, file)), `${clause}: there is no ${file}`)
    }
  }
})
