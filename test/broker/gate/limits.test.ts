// Counts and rates before the handshake, on a clock that the test moves.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLimits } from '../../../broker/gate/limits.ts'
import type { Reason } from '../../../db/reason.ts'

const standard = {
  connectionsMax: 100,
  handshakesMax: 100,
  addressRatePerSecond: 10,
  addressBurst: 5,
  addressHandshakesMax: 100,
  addressesMax: 3,
}

function limitsAt(settings: Partial<typeof standard> = {}) {
  const clock = { ms: 1_000 }
  const counted = createLimits({ ...standard, ...settings }, () => clock.ms)
  function begin(address: string): Reason | null {
    let answered: Reason | null | undefined
    counted.begin(address, refusal => {
      answered = refusal
    })
    assert.notEqual(answered, undefined, 'answers at once')
    return answered ?? null
  }
  return { clock, limits: { ...counted, begin } }
}

test('an address may burst, then comes in at its rate', () => {
  const { clock, limits } = limitsAt()
  for (let i = 0; i < 5; i += 1) assert.equal(limits.begin('a'), null)
  assert.equal(limits.begin('a'), 'address_rate_limited')
  clock.ms += 99
  assert.equal(limits.begin('a'), 'address_rate_limited', 'just before the next token')
  clock.ms += 1
  assert.equal(limits.begin('a'), null, 'at the token')
  assert.equal(limits.begin('a'), 'address_rate_limited')
  clock.ms += 3_600_000
  for (let i = 0; i < 5; i += 1) assert.equal(limits.begin('a'), null, 'never more than the burst')
  assert.equal(limits.begin('a'), 'address_rate_limited')
})

test('one address costs another nothing', () => {
  const { limits } = limitsAt()
  for (let i = 0; i < 6; i += 1) limits.begin('a')
  assert.equal(limits.begin('b'), null)
})

test('a bounded number of addresses is remembered, those used last', () => {
  const { limits } = limitsAt({ addressBurst: 1 })
  for (const address of ['a', 'b', 'c', 'a', 'd']) limits.begin(address)
  assert.equal(limits.begin('a'), 'address_rate_limited', 'used again, so remembered')
  assert.equal(limits.begin('b'), null, 'the oldest was forgotten')
})

test('connections and handshakes are counted apart, and a refusal counts as neither', () => {
  const { limits } = limitsAt({ connectionsMax: 3, handshakesMax: 2, addressBurst: 50 })
  assert.deepEqual([limits.begin('a'), limits.begin('a')], [null, null])
  assert.equal(limits.begin('a'), 'handshakes_exceeded')
  assert.deepEqual(limits.counts(), { connections: 2, handshakes: 2 })
  limits.handshakeEnded('a')
  assert.equal(limits.begin('a'), null)
  limits.handshakeEnded('a')
  assert.equal(limits.begin('a'), 'connections_exceeded')
  limits.connectionEnded()
  assert.equal(limits.begin('a'), null)
  assert.deepEqual(limits.counts(), { connections: 3, handshakes: 2 })
})

test('one address alone never takes every handshake from the others', () => {
  const { limits } = limitsAt({ addressHandshakesMax: 2, addressBurst: 50 })
  assert.deepEqual([limits.begin('a'), limits.begin('a')], [null, null])
  assert.equal(limits.begin('a'), 'handshakes_exceeded')
  assert.equal(limits.begin('b'), null)
  limits.handshakeEnded('a')
  assert.equal(limits.begin('a'), null)
})

test('a clock that stands still lets nobody in for free', () => {
  const { limits } = limitsAt({ addressBurst: 2 })
  const outcomes = Array.from({ length: 10 }, () => limits.begin('a'))
  assert.equal(outcomes.filter(outcome => outcome === null).length, 2)
})
