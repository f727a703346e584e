// docs/mqtt.md against the standards' own numbers: every statement that there is has its row, once, and tests that exist.
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

const page = readFileSync(join(import.meta.dirname, '..', 'docs', 'mqtt.md'), 'utf8')
const [, clauses = ''] = page.split('## Clause by clause')

/** How many statements each section of MQTT 3.1.1 has, by its appendix B. */
const statements311: Record<string, number> = {
  '1.5.3': 3,
  '2.2.2': 2,
  '2.3.1': 7,
  '3.1.0': 2,
  '3.1.2': 24,
  '3.1.3': 11,
  '3.1.4': 5,
  '3.2.0': 1,
  '3.2.2': 6,
  '3.3.1': 12,
  '3.3.2': 3,
  '3.3.4': 1,
  '3.3.5': 2,
  '3.6.1': 1,
  '3.8.1': 1,
  '3.8.3': 4,
  '3.8.4': 6,
  '3.9.3': 2,
  '3.10.1': 1,
  '3.10.3': 2,
  '3.10.4': 6,
  '3.12.4': 1,
  '3.14.1': 1,
  '3.14.4': 3,
  '4.1.0': 2,
  '4.2.0': 1,
  '4.3.1': 1,
  '4.3.2': 2,
  '4.3.3': 2,
  '4.4.0': 1,
  '4.5.0': 2,
  '4.6.0': 6,
  '4.7.1': 3,
  '4.7.2': 1,
  '4.7.3': 4,
  '4.8.0': 2,
  '6.0.0': 4,
}

/** The same of MQTT 5; 2.2.1 begins at -2. */
const statements5: Record<string, number> = {
  '1.5.4': 3,
  '1.5.5': 1,
  '1.5.7': 1,
  '2.1.3': 1,
  '2.2.1': 6,
  '2.2.2': 2,
  '3.1.0': 2,
  '3.1.2': 30,
  '3.1.3': 12,
  '3.1.4': 6,
  '3.2.0': 2,
  '3.2.2': 22,
  '3.3.1': 13,
  '3.3.2': 20,
  '3.3.4': 10,
  '3.4.2': 3,
  '3.5.2': 3,
  '3.6.1': 1,
  '3.6.2': 3,
  '3.7.2': 3,
  '3.8.1': 1,
  '3.8.3': 5,
  '3.8.4': 8,
  '3.9.2': 2,
  '3.9.3': 2,
  '3.10.1': 1,
  '3.10.3': 2,
  '3.10.4': 6,
  '3.11.2': 2,
  '3.11.3': 2,
  '3.12.4': 1,
  '3.14.0': 1,
  '3.14.1': 1,
  '3.14.2': 4,
  '3.14.4': 3,
  '3.15.1': 1,
  '3.15.2': 3,
  '4.1.0': 2,
  '4.2': 1,
  '4.3.1': 1,
  '4.3.2': 5,
  '4.3.3': 13,
  '4.4.0': 2,
  '4.5.0': 2,
  '4.6.0': 6,
  '4.7.0': 1,
  '4.7.1': 2,
  '4.7.2': 1,
  '4.7.3': 4,
  '4.8.2': 6,
  '4.9.0': 3,
  '4.12.0': 7,
  '4.12.1': 2,
  '4.13.1': 1,
  '4.13.2': 1,
  '6.0.0': 4,
}

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

function everyOf(statements: Record<string, number>): string[] {
  return Object.entries(statements).flatMap(([section, count]) =>
    Array.from({ length: count }, (_, index) => `${section}-${index + 1}`),
  )
}

test('docs/mqtt.md names every statement of MQTT 3.1.1 once', () => {
  const named = [...rows.flatMap(([clause = '']) => numbersOf(clause)), ...bindClients('3.1.1')]
  assert.deepEqual(named.toSorted(), everyOf(statements311).toSorted())
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
  const every = everyOf(statements5).filter(number => number !== '2.2.1-1')
  assert.deepEqual([...named].toSorted(), every.toSorted())
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
