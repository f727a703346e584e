// Whether a refusal is answered at once, later or not, on a clock that the test moves.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createRepeatedRefusals } from '../../../../broker/gate/limits/repeated-refusals.ts'

const standard = { refusalBurst: 3, refusalDelayMs: 5_000, refusedCertificatesMax: 2 }

function refusalsAt(settings: Partial<typeof standard> = {}) {
  const clock = { ms: 0 }
  return { clock, ...createRepeatedRefusals({ ...standard, ...settings }, () => clock.ms) }
}

const times = <T>(count: number, work: () => T): T[] => Array.from({ length: count }, work)

test('a few are answered at once, the next waits, and those beside it are closed', () => {
  const { refused, release } = refusalsAt()
  assert.deepEqual(
    times(6, () => refused('a')),
    ['at_once', 'at_once', 'at_once', 'delayed', 'delayed', 'closed'],
  )
  release('a')
  assert.equal(refused('a'), 'delayed')
  assert.equal(refused('b'), 'at_once', 'another certificate is not concerned')
})

test('a minute without a refusal starts anew, and just before does not', () => {
  for (const [quietMs, answer] of [
    [59_999, 'delayed'],
    [60_000, 'at_once'],
  ] as const) {
    const { clock, refused } = refusalsAt()
    times(3, () => refused('a'))
    clock.ms += quietMs
    assert.equal(refused('a'), answer)
  }
})

test('one that may be admitted starts anew, and where nothing is delayed nobody waits', () => {
  const { refused, forget } = refusalsAt()
  times(3, () => refused('a'))
  forget('a')
  assert.equal(refused('a'), 'at_once')
  const never = refusalsAt({ refusalDelayMs: 0 })
  assert.deepEqual([...new Set(times(50, () => never.refused('a')))], ['at_once'])
})

test('a bounded number is remembered, those refused last', () => {
  const { refused } = refusalsAt()
  for (const fingerprint of ['a', 'b']) times(3, () => refused(fingerprint))
  refused('c')
  assert.equal(refused('b'), 'delayed')
  assert.equal(refused('a'), 'at_once', 'the oldest was forgotten')
})

test('never do more than 500 wait, and each that waited leaves room for another', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 0, max: 999 }), fc.boolean()), { maxLength: 3_000 }),
      steps => {
        const { refused, release } = refusalsAt({ refusalBurst: 1, refusedCertificatesMax: 2_000 })
        const waiting: string[] = []
        for (const [device, leaves] of steps) {
          const fingerprint = `${device}`
          const answer = refused(fingerprint)
          if (answer === 'delayed') waiting.push(fingerprint)
          assert.ok(waiting.length <= 500)
          const first = leaves ? waiting.shift() : undefined
          if (first !== undefined) release(first)
        }
      },
    ),
    { numRuns: 20 },
  )
})
