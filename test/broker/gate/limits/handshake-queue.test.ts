// The next handshake: one that may start does, and finding it costs the same however many wait.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createLimits, type HandshakeOutcome } from '../../../../broker/gate/limits/connection-limits.ts'
import { limitsAt, standard } from './limits-at.ts'

/** Reads of a setting stand for the addresses that were judged: each judgement compares with one. */
function readsPerEnding(addresses: number, waits: 'strangers' | 'held'): number {
  let reads = 0
  const given = {
    ...standard,
    connectionsMax: 100_000,
    handshakesMax: 4 + addresses,
    handshakesWaitingMax: 100_000,
    strangerShare: waits === 'strangers' ? 1 : 100,
    addressHandshakesMax: waits === 'strangers' ? 100 : 1,
    addressBurst: 100_000,
    addressesMax: 100_000,
  }
  const settings = new Proxy(given, {
    get(target, name) {
      reads += 1
      return Reflect.get(target, name)
    },
  })
  const limits = createLimits(settings, () => 0)
  limits.begin('fleet', () => {})
  limits.handshakeEnded('fleet', 'known')
  for (let index = 0; index < addresses; index += 1) {
    limits.begin(`address ${index}`, () => {})
    limits.begin(`address ${index}`, () => {})
  }
  assert.ok(limits.counts().waiting >= addresses, 'somebody waits of each address, and may not start')
  reads = 0
  const ENDINGS = 50
  for (let index = 0; index < ENDINGS; index += 1) {
    limits.begin('fleet', () => {})
    limits.handshakeEnded('fleet', 'known')
  }
  return reads / ENDINGS
}

for (const waits of ['strangers', 'held'] as const)
  test(`the end of a handshake costs the same, however many addresses wait (${waits})`, () => {
    assert.ok(readsPerEnding(1_000, waits) <= readsPerEnding(10, waits) + 1)
    assert.ok(readsPerEnding(1_000, waits) < 20)
  })

test('a handshake that may start does, whatever happens to its address while it waits', () => {
  const step = fc.record({
    address: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
    outcome: fc.constantFrom<HandshakeOutcome>('known', 'stranger', 'gone'),
    ends: fc.nat(3),
  })
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 80 }),
      fc.integer({ min: 1, max: 100 }),
      fc.integer({ min: 1, max: 5 }),
      (steps, strangerShare, addressesMax) => {
        const { limits } = limitsAt({
          addressBurst: 10_000,
          handshakesMax: 4,
          handshakesWaitingMax: 100,
          addressHandshakesMax: 2,
          strangerShare,
          addressesMax,
        })
        const underWay: string[] = []
        const waiting: string[] = []
        for (const { address, outcome, ends } of steps) {
          waiting.push(address)
          limits.enter(address, () => {
            waiting.splice(waiting.indexOf(address), 1)
            underWay.push(address)
          })
          for (let count = 0; count < ends && underWay.length > 0; count += 1)
            limits.handshakeEnded(underWay.shift()!, outcome)
          assert.equal(limits.counts().waiting, waiting.length)
          const under = (of: string) => underWay.filter(other => other === of).length
          assert.ok(underWay.length <= 4 && [...'abcde'].every(of => under(of) <= 2))
          // With all strangers let in, only the bounds on all and on an address keep anybody waiting.
          if (strangerShare === 100 && underWay.length < 4) assert.ok(waiting.every(of => under(of) === 2))
          if (underWay.length === 0) assert.equal(waiting.length, 0)
        }
      },
    ),
  )
})
