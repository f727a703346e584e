// Random acknowledgements and endings in a group: every message is acknowledged, held by somebody who is here, or counted.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AedesPublishPacket } from 'aedes'
import fc from 'fast-check'
import { judgeSettings } from '../../../broker/config.ts'
import type { Inside } from '../../../broker/engine/aedes-client.ts'
import { createSharedSubscriptions } from '../../../broker/engine/shared-subscriptions.ts'

const ASKED = '$share/workers/work'

type Consumer = Inside & { holds: Map<number, string> }
type Step = {
  what: 'come' | 'publish' | 'acknowledge' | 'end' | 'deafen' | 'unsubscribe'
  who: number
  which: number
}

const who = { who: fc.nat(), which: fc.nat() }
const step = (what: string) => fc.record({ what: fc.constant(what), ...who }) as fc.Arbitrary<Step>
const steps = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: step('publish') },
    { weight: 2, arbitrary: step('come') },
    { weight: 3, arbitrary: step('acknowledge') },
    { weight: 2, arbitrary: step('end') },
    { weight: 1, arbitrary: step('deafen') },
    { weight: 1, arbitrary: step('unsubscribe') },
  ),
  { maxLength: 120, size: 'max' },
)

/** A group whose clean members are no more than what the broker notes of them; they hold what they have not acknowledged. */
function createGroup(offlineMessagesMax: number) {
  const consumers: Consumer[] = []
  const acknowledged = new Set<string>()
  const nobodys = new Set<string>()
  let published = 0
  let dropped = 0
  let route: ((packet: AedesPublishPacket, done: () => void) => void) | null = null
  const aedes = {
    counter: 0,
    subscribe: (_filter: string, deliver: typeof route) => {
      route = deliver
    },
    unsubscribe: () => {
      route = null
    },
  }
  const shared = createSharedSubscriptions({
    aedes: aedes as never,
    settings: judgeSettings({ offlineMessagesMax }),
    queue: () => assert.fail('nobody has a stored session'),
    dropped: () => {
      dropped += 1
    },
  })
  const alive = () => consumers.filter(({ closed }) => !closed)
  const pick = <T>(all: T[], which: number) => (all.length === 0 ? undefined : all[which % all.length])

  function come(): void {
    const rights = { receive: true }
    const consumer = {
      id: `c${consumers.length}`,
      clean: true,
      closed: false,
      connackSent: true,
      conn: { writableLength: 0 },
      subscriptions: {},
      _nextId: 65_530,
      rights,
      session: { ended: null, rights: { receive: () => rights.receive } },
      holds: new Map(),
      deliverShared(packet: AedesPublishPacket) {
        assert.equal(rights.receive && !consumer.closed, true, 'it may not have it')
        assert.equal(packet.dup, false)
        consumer.holds.set(packet.messageId!, String(packet.payload))
      },
    } as unknown as Consumer
    consumers.push(consumer)
    shared.join(consumer, consumer.id, ASKED, 1)
  }

  return {
    act(step: Step): void {
      if (step.what === 'come') come()
      if (step.what === 'publish') {
        published += 1
        const held = dropped + consumers.reduce((sum, { holds }) => sum + holds.size, 0)
        const packet = {
          topic: 'work',
          payload: Buffer.from(String(published)),
          qos: 1,
          dup: false,
          brokerId: 'b',
        }
        aedes.counter += 1
        route?.({ ...packet, brokerCounter: aedes.counter } as AedesPublishPacket, () => {})
        const after = dropped + consumers.reduce((sum, { holds }) => sum + holds.size, 0)
        if (after === held) nobodys.add(String(published))
        return
      }
      const consumer = step.what === 'come' ? undefined : pick(alive(), step.who)
      if (consumer === undefined) return
      if (step.what === 'deafen')
        Object.assign((consumer as never as { rights: object }).rights, { receive: false })
      if (step.what === 'unsubscribe') shared.part(consumer, consumer.id, ASKED)
      if (step.what === 'end') {
        Object.assign(consumer, { closed: true })
        shared.part(consumer, consumer.id, ASKED)
        shared.away(consumer, consumer.id)
      }
      if (step.what === 'acknowledge') {
        const messageId = pick([...consumer.holds.keys()], step.which)
        if (messageId === undefined) return
        acknowledged.add(consumer.holds.get(messageId)!)
        consumer.holds.delete(messageId)
        shared.acknowledged(consumer, messageId)
      }
    },
    /** Messages that nobody acknowledged and nobody who is here holds, though somebody took them at first. */
    lost(): number {
      const held = new Set(alive().flatMap(({ holds }) => [...holds.values()]))
      let count = 0
      for (let number = 1; number <= published; number += 1) {
        const text = String(number)
        if (!acknowledged.has(text) && !held.has(text) && !nobodys.has(text)) count += 1
      }
      return count
    },
    dropped: () => dropped,
  }
}

test('every message is acknowledged, held by a member that is here, or counted as dropped', () => {
  fc.assert(
    fc.property(steps, all => {
      const group = createGroup(1_000)
      for (const step of all) {
        group.act(step)
        assert.equal(group.lost(), group.dropped())
      }
    }),
    { numRuns: 300 },
  )
})

test('with little room too, what is lost was counted', () => {
  fc.assert(
    fc.property(steps, all => {
      const group = createGroup(3)
      for (const step of all) {
        group.act(step)
        assert.ok(group.lost() <= group.dropped())
      }
    }),
    { numRuns: 300 },
  )
})

test('the oldest is forgotten where there is no room, and nothing is held of whoever has ended', () => {
  const group = createGroup(3)
  for (const what of ['come', 'publish', 'publish', 'publish', 'publish', 'come'] as const)
    group.act({ what, who: 0, which: 0 })
  assert.equal(group.dropped(), 1)
  group.act({ what: 'end', who: 0, which: 0 })
  assert.deepEqual([group.lost(), group.dropped()], [1, 1])
  group.act({ what: 'end', who: 0, which: 0 })
  assert.deepEqual([group.lost(), group.dropped()], [4, 4])
})
