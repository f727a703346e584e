// When takeovers of one certificate mean that two hold it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createCloneDetector } from '../../../broker/admission/clone-detector.ts'

const MINUTE_MS = 60_000

function detectorAt(start = 1_000_000) {
  const detector = createCloneDetector()
  return (from: string, to: string, afterMs: number, fingerprint = 'f') =>
    detector.notice({ fingerprint, from, to, at: start + afterMs })
}

test('a device that moves to another network is no clone, nor if it comes back once', () => {
  const takeover = detectorAt()
  assert.equal(takeover('wifi', 'mobile', 0), null)
  assert.equal(takeover('mobile', 'wifi', 30_000), null)
})

test('two sources that take the session from each other are told apart from a move', () => {
  const takeover = detectorAt()
  takeover('a', 'b', 0)
  assert.equal(takeover('b', 'a', 1_000), null)
  assert.deepEqual(takeover('a', 'b', 2_000), {
    kind: 'alternating_sources',
    fingerprint: 'f',
    takeovers: 3,
    addresses: ['a', 'b'],
  })
})

test('back and forth over hours is forgotten in between', () => {
  const takeover = detectorAt()
  for (let round = 0; round < 6; round += 1) {
    const [from, to] = round % 2 === 0 ? ['a', 'b'] : ['b', 'a']
    assert.equal(takeover(from!, to!, round * 10 * MINUTE_MS), null)
  }
})

test('ten takeovers in a minute are borne, the eleventh is a storm, and it is told once a minute', () => {
  const takeover = detectorAt()
  for (let count = 1; count <= 10; count += 1) assert.equal(takeover('a', 'a', count * 100), null)
  assert.equal(takeover('a', 'a', 1_100)?.kind, 'takeover_storm')
  assert.equal(takeover('a', 'a', 1_200), null)
  for (let count = 1; count <= 12; count += 1) takeover('a', 'a', 50_000 + count)
  assert.equal(takeover('a', 'a', 1_099 + MINUTE_MS), null, 'just before the minute is over')
  assert.equal(takeover('a', 'a', 1_100 + MINUTE_MS)?.kind, 'takeover_storm')
})

test('one certificate says nothing of another', () => {
  const takeover = detectorAt()
  for (let count = 0; count < 6; count += 1) {
    assert.equal(takeover('a', 'a', count, 'one'), null)
    assert.equal(takeover('a', 'a', count, 'other'), null)
  }
})

test('a clock that steps back raises no suspicion', () => {
  const takeover = detectorAt()
  takeover('a', 'b', 10_000)
  takeover('b', 'a', 11_000)
  assert.equal(takeover('a', 'b', -3_600_000), null)
})

test('what one node knew counts at the next, whatever their clocks say', () => {
  const detectors = [createCloneDetector(), createCloneDetector()]
  const clocks = [1_000_000, 1_000_000 - 90_000]
  const takeovers = [
    { from: 'a', to: 'b' },
    { from: 'b', to: 'a' },
    { from: 'a', to: 'b' },
    { from: 'b', to: 'a' },
  ]
  const found = takeovers.map((takeover, index) => {
    const [one, other] = [index % 2, 1 - (index % 2)]
    const passed = index * 1_000
    const [to, from] = [detectors[one]!, detectors[other]!]
    to.takeIn('f', from.past('f', clocks[other]! + passed), clocks[one]! + passed)
    return to.notice({ fingerprint: 'f', ...takeover, at: clocks[one]! + passed })
  })
  assert.deepEqual(
    found.map(each => each?.kind),
    [undefined, undefined, 'alternating_sources', undefined],
    'and is told once, wherever',
  )
})

test('a node that hears less than it knows goes on from what it knows', () => {
  const detector = createCloneDetector()
  for (let count = 0; count < 10; count += 1)
    detector.notice({ fingerprint: 'f', from: 'a', to: 'a', at: 1_000 + count })
  detector.takeIn('f', { takeovers: [{ from: 'a', to: 'a', agoMs: 5 }], toldAgoMs: null }, 1_020)
  assert.equal(detector.notice({ fingerprint: 'f', from: 'a', to: 'a', at: 1_021 })?.kind, 'takeover_storm')
})
