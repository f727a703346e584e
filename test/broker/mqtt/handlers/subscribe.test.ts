// A SUBSCRIBE whose filters take long to check: others have their turns between them, and what ends meanwhile is not answered.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { createSubscribeHandler } from '../../../../broker/mqtt/handlers/subscribe.ts'

const FILTERS = 20
const packet = {
  cmd: 'subscribe' as const,
  messageId: 1,
  identifier: null,
  subscriptions: Array.from({ length: FILTERS }, (_, index) => ({
    ...{ filter: `a/${index}`, qos: 0 as const, noLocal: false, retainAsPublished: false },
    retainHandling: 2 as const,
  })),
}

/** As a policy of thousands of topics does. */
const slowly = (allowed: boolean) => ({
  isBackend: false,
  subscribe() {
    for (const began = performance.now(); performance.now() - began < 2; );
    return allowed
  },
})

function begin() {
  const told = { holds: 0, checked: [] as number[], answers: [] as Buffer[], subscribed: 0 }
  const session = { ended: null as string | null, identity: { deviceId: 'd' }, rights: slowly(true) }
  const state = { subscriptions: new Map(), subscriptionBytes: 0, isKept: false }
  const client = {
    session,
    state,
    version: 4,
    phase: 'open',
    packetBytesMax: 1e6,
    noProblemInformation: false,
  }
  const parts = {
    settings: { subscriptionsMax: 100, topicBytesMax: 100, topicLevelsMax: 9 },
    events: { denied() {}, rightDenied() {}, subscriptionsChanged() {} },
    boundsOf: () => ({ subscriptionBytes: 1e6 }),
    input: { hold: () => told.holds++, release: () => told.holds-- },
    table: { subscribe: (_: unknown, granted: unknown[]) => (told.subscribed += granted.length) },
    output: { sendAfter: (_: unknown, __: unknown, bytes: Buffer) => told.answers.push(bytes) },
    fail: assert.ifError,
  }
  createSubscribeHandler(parts as never)(client as never, packet as never)
  return { told, session, client }
}

test('the filters of one packet are checked in slices, and its device is not read until it is answered', async () => {
  const { told } = begin()
  assert.deepEqual([told.holds, told.answers.length], [1, 0])
  let turns = 0
  for (; told.answers.length === 0; turns += 1) await turn()
  assert.ok(turns >= FILTERS / 2, `${turns} turns`)
  assert.deepEqual([told.holds, told.answers.length, told.subscribed], [0, 1, FILTERS])
})

test('rights that change meanwhile hold for all filters of the packet', async () => {
  const { told, session } = begin()
  await turn()
  session.rights = slowly(false)
  while (told.answers.length === 0) await turn()
  assert.deepEqual([told.holds, told.subscribed], [0, 0])
  assert.deepEqual([...told.answers[0]!.subarray(4)], Array(FILTERS).fill(0x80))
})

test('a connection that closes meanwhile is subscribed to nothing', async () => {
  const { told, client } = begin()
  client.phase = 'closed'
  for (let turns = 0; turns <= FILTERS; turns += 1) await turn()
  assert.deepEqual([told.answers.length, told.subscribed], [0, 0])
})
