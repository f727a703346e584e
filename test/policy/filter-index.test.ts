// The tree of filters answers as a walk over all of them does, on a small world with wildcards and `$`.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createFilterIndex } from '../../policy/filter-index.ts'
import { contains, overlaps, parseFilter } from '../../policy/topic-filter.ts'

const level = fc.constantFrom('a', 'b', '', '+', '$x')
const filter = fc
  .tuple(fc.array(level, { maxLength: 3 }), fc.constantFrom('#', '+', 'a', 'b', ''))
  .map(([levels, last]) => parseFilter([...levels, last].join('/')))
  .filter(parsed => parsed !== null)
const stored = fc.array(fc.record({ filter, qosMax: fc.constantFrom<0 | 1 | 2>(0, 1, 2) }), { maxLength: 8 })

test('a tree of filters says of each question what all of its filters say together', () => {
  fc.assert(
    fc.property(stored, filter, (filters, asked) => {
      const index = createFilterIndex()
      for (const { filter: one, qosMax } of filters) index.add(one, qosMax)
      const covering = filters.filter(({ filter: one }) => contains(one, asked)).map(({ qosMax }) => qosMax)
      assert.equal(index.covering(asked), Math.max(-1, ...covering), JSON.stringify({ filters, asked }))
      const overlapping = filters.some(({ filter: one }) => overlaps(one, asked))
      assert.equal(index.overlapping(asked), overlapping, JSON.stringify({ filters, asked }))
    }),
    { numRuns: 20_000 },
  )
})

test('names that objects inherit are levels like others', () => {
  const index = createFilterIndex()
  index.add(['__proto__', 'constructor'])
  assert.equal(index.covering(['__proto__', 'constructor']), 2)
  assert.equal(index.covering(['toString']), -1)
})
