// Counts and rates before the handshake, on a clock that the test moves.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { HandshakeOutcome } from '../../../../broker/gate/limits/connection-limits.ts'
import { limitsAt, type standard } from './limits-at.ts'

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

test('the addresses of one IPv6 /64 share one rate and one share of the handshakes, and the next /64 has its own', () => {
  const { limits } = limitsAt({ addressBurst: 2 })
  assert.deepEqual(
    [limits.begin('2001:db8::1'), limits.begin('2001:DB8:0:0:ffff::2'), limits.begin('2001:db8::3')],
    [null, null, 'address_rate_limited'],
  )
  assert.equal(limits.begin('2001:db8:0:1::1'), null)
  const one = limitsAt({ addressHandshakesMax: 1 }).limits
  assert.equal(one.begin('2001:db8::1'), null)
  assert.equal(one.begin('2001:db8::2'), 'handshakes_exceeded')
  one.handshakeEnded('2001:db8::1', 'known')
  assert.equal(one.begin('2001:db8::2'), null)
})

test('an IPv4 address is counted as one, however it is written', () => {
  const { limits } = limitsAt({ addressBurst: 2 })
  assert.deepEqual(
    [limits.begin('192.0.2.1'), limits.begin('::ffff:192.0.2.1'), limits.begin('::ffff:c000:201')],
    [null, null, 'address_rate_limited'],
  )
  assert.equal(limits.begin('::ffff:192.0.2.2'), null, 'mapped addresses are not one /64')
})

test('a bounded number of addresses is remembered, those used last', () => {
  const { limits } = limitsAt({ addressBurst: 1 })
  for (const address of ['a', 'b', 'c', 'a', 'd']) {
    if (limits.begin(address) === null) limits.handshakeEnded(address, 'gone')
  }
  assert.equal(limits.begin('a'), 'address_rate_limited', 'used again, so remembered')
  assert.equal(limits.begin('b'), null, 'the oldest was forgotten')
})

test('an address with a handshake under way is never forgotten, and the one to forget is found at once', () => {
  const { limits } = limitsAt({
    addressBurst: 1,
    addressesMax: 5_001,
    handshakesMax: 5_000,
    connectionsMax: 100_000,
  })
  for (let index = 0; index < 5_000; index += 1) assert.equal(limits.begin(`busy ${index}`), null)
  const before = process.cpuUsage()
  // Each takes the one place that is left from the one before.
  for (let index = 0; index < 60_000; index += 1)
    assert.equal(limits.begin(`idle ${index}`), 'handshakes_exceeded')
  assert.ok(process.cpuUsage(before).user < 1_000_000, 'a scan of those that are busy takes some seconds')
  assert.equal(limits.begin('busy 0'), 'address_rate_limited')
})

test('connections and handshakes are counted apart, and a refusal counts as neither', () => {
  const { limits } = limitsAt({ connectionsMax: 3, handshakesMax: 2, addressBurst: 50 })
  assert.deepEqual([limits.begin('a'), limits.begin('a')], [null, null])
  assert.equal(limits.begin('a'), 'handshakes_exceeded')
  assert.deepEqual(limits.counts(), { connections: 2, handshakes: 2, waiting: 0 })
  limits.handshakeEnded('a', 'gone')
  assert.equal(limits.begin('a'), null)
  limits.handshakeEnded('a', 'gone')
  assert.equal(limits.begin('a'), 'connections_exceeded')
  limits.connectionEnded()
  assert.equal(limits.begin('a'), null)
  assert.deepEqual(limits.counts(), { connections: 3, handshakes: 2, waiting: 0 })
})

test('one address alone never takes every handshake from the others', () => {
  const { limits } = limitsAt({ addressHandshakesMax: 2, addressBurst: 50 })
  assert.deepEqual([limits.begin('a'), limits.begin('a')], [null, null])
  assert.equal(limits.begin('a'), 'handshakes_exceeded')
  assert.equal(limits.begin('b'), null)
  limits.handshakeEnded('a', 'gone')
  assert.equal(limits.begin('a'), null)
})

test('a clock that stands still lets nobody in for free', () => {
  const { limits } = limitsAt({ addressBurst: 2 })
  const outcomes = Array.from({ length: 10 }, () => limits.begin('a'))
  assert.equal(outcomes.filter(outcome => outcome === null).length, 2)
})

/** Comes from an address and writes down, in order, the handshakes that the limits allow or refuse. */
function roomAt(settings: Partial<typeof standard>) {
  const { clock, limits } = limitsAt({ addressBurst: 1_000, addressesMax: 1_000, ...settings })
  const seen: string[] = []
  const come = (address: string, name = address) =>
    limits.enter(address, refusal => seen.push(refusal === null ? name : `${name}: ${refusal}`))
  /** A device on the roll has been here from this address. */
  function vouch(address: string): void {
    limits.enter(address, () => {})
    limits.handshakeEnded(address, 'known')
    limits.connectionEnded()
  }
  return { clock, limits, seen, come, vouch }
}

test('what exceeds the handshakes begins in order of arrival, as others end', () => {
  const { limits, seen, come } = roomAt({ handshakesMax: 2, handshakesWaitingMax: 10 })
  for (const name of ['a', 'b', 'c', 'd', 'e']) come(name)
  assert.deepEqual(seen, ['a', 'b'])
  assert.deepEqual(limits.counts(), { connections: 5, handshakes: 2, waiting: 3 })
  limits.handshakeEnded('a', 'known')
  limits.handshakeEnded('b', 'gone')
  assert.deepEqual(seen, ['a', 'b', 'c', 'd'])
  limits.handshakeEnded('c', 'known')
  assert.deepEqual(seen, ['a', 'b', 'c', 'd', 'e'])
  assert.deepEqual(limits.counts(), { connections: 5, handshakes: 2, waiting: 0 })
})

test('a full handshake queue refuses, and so does a wait that was too long', () => {
  const { clock, limits, seen, come } = roomAt({ handshakesMax: 1, handshakesWaitingMax: 2 })
  for (const name of ['a', 'b', 'c', 'd']) come(name)
  assert.deepEqual(seen, ['a', 'd: handshakes_exceeded'])
  clock.ms += 1_001
  limits.handshakeEnded('a', 'known')
  assert.deepEqual(seen.slice(2), ['b: handshakes_exceeded', 'c: handshakes_exceeded'])
  assert.deepEqual(limits.counts(), { connections: 1, handshakes: 0, waiting: 0 })
})

test('an address with many waiting takes turns with the others', () => {
  const { limits, seen, come } = roomAt({ handshakesMax: 1, handshakesWaitingMax: 100 })
  come('x')
  for (let index = 1; index <= 3; index += 1) come('many', `many ${index}`)
  come('one')
  for (let turn = 0; turn < 4; turn += 1)
    limits.handshakeEnded(turn === 0 ? 'x' : turn === 2 ? 'one' : 'many', 'gone')
  assert.deepEqual(seen, ['x', 'many 1', 'one', 'many 2', 'many 3'])
})

test('an address waits among strangers until a device on the roll comes from it, and again once strangers do', () => {
  const { limits, seen, come } = roomAt({ handshakesMax: 3, handshakesWaitingMax: 100, strangerShare: 34 })
  come('site', 'first')
  come('site', 'second')
  come('site', 'third')
  come('other')
  assert.deepEqual(seen, ['first'], 'strangers have one of three handshakes')
  limits.handshakeEnded('site', 'known')
  assert.deepEqual(seen.slice(1).sort(), ['other', 'second', 'third'])
  come('site', 'fourth')
  come('site', 'fifth')
  for (const outcome of ['stranger', 'stranger'] as const) limits.handshakeEnded('site', outcome)
  assert.deepEqual(seen.slice(4), ['fourth'], 'its standing is used up: the stranger’s handshake is taken')
  limits.handshakeEnded('other', 'gone')
  assert.deepEqual(seen.slice(5), ['fifth'])
})

test('addresses without a device on the roll share a part of the handshakes; the rest is for those with one', () => {
  const { limits, seen, come, vouch } = roomAt({
    handshakesMax: 4,
    handshakesWaitingMax: 100,
    strangerShare: 50,
  })
  vouch('fleet')
  for (let index = 1; index <= 4; index += 1) come(`stranger ${index}`)
  assert.deepEqual(seen, ['stranger 1', 'stranger 2'])
  for (let index = 1; index <= 3; index += 1) come('fleet', `device ${index}`)
  assert.deepEqual(seen.slice(2), ['device 1', 'device 2'])
  limits.handshakeEnded('fleet', 'known')
  assert.deepEqual(seen.slice(4), ['device 3'], 'strangers have their share already')
  limits.handshakeEnded('stranger 1', 'stranger')
  assert.deepEqual(seen.slice(5), ['stranger 3'])
})

test('an address that turns to strangers loses its standing, and spends its rate ten times as fast', () => {
  const { limits, seen, come, vouch } = roomAt({ addressBurst: 32, addressRatePerSecond: 1 })
  vouch('a')
  for (let index = 0; index < 3; index += 1) {
    come('a')
    limits.handshakeEnded('a', 'stranger')
  }
  assert.deepEqual(seen, ['a', 'a', 'a'])
  come('a')
  assert.deepEqual(seen.slice(3), ['a'], '32 − 1 − 30 leaves one')
  come('a')
  assert.deepEqual(seen.slice(4), ['a: address_rate_limited'])
})

test('whatever comes and goes, the counts come back to nothing and nobody is forgotten', () => {
  const step = fc.record({
    address: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
    outcome: fc.constantFrom('known', 'stranger', 'gone' as const),
    ends: fc.nat(3),
    ms: fc.nat(600),
  })
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 100 }),
      fc.integer({ min: 1, max: 100 }),
      (steps, strangerShare) => {
        const { clock, limits } = limitsAt({
          addressBurst: 10_000,
          handshakesMax: 3,
          handshakesWaitingMax: 5,
          addressHandshakesMax: 2,
          strangerShare,
        })
        const begun: string[] = []
        let answers = 0
        let refused = 0
        const end = (outcome: HandshakeOutcome) => {
          const address = begun.shift()
          if (address !== undefined) limits.handshakeEnded(address, outcome)
        }
        for (const { address, outcome, ends, ms } of steps) {
          clock.ms += ms
          limits.enter(address, refusal => {
            answers += 1
            if (refusal === null) begun.push(address)
            else refused += 1
          })
          assert.ok(limits.counts().handshakes <= 3 && limits.counts().waiting <= 5)
          for (let count = 0; count < ends; count += 1) end(outcome as HandshakeOutcome)
        }
        while (begun.length > 0) end('known')
        assert.equal(answers, steps.length, 'everybody was answered once')
        assert.deepEqual(limits.counts(), { connections: answers - refused, handshakes: 0, waiting: 0 })
      },
    ),
  )
})
