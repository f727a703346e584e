// What waits for a member of a shared subscription at any node.
import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import { createPlacements, PLACEMENT_BYTES_MAX } from '../../../broker/mqtt/cluster/placements.ts'
import type { Message } from '../../../broker/mqtt/message.ts'

const ASKED = '$share/g/a/#'
const message = (topic: string, payload: string | Buffer): Message => ({
  ...{ topic, payload: Buffer.from(payload), qos: 1, retain: false },
  ...{ publisher: 'p', properties: null, expiresAt: null, sequence: 1 },
})

let placed: string[]
let forgotten: number
let taken: RegExp
let hears: boolean
let placements: ReturnType<typeof createPlacements>
beforeEach(() => {
  placed = []
  forgotten = 0
  taken = /^$/
  hears = true
  placements = createPlacements({
    tryPlace(_asked, { topic, payload }) {
      if (!taken.test(topic)) return false
      placed.push(`${topic} ${payload}`)
      return true
    },
    hears: () => hears,
    onForgotten() {
      forgotten += 1
    },
  })
})

test('messages wait in the order of their topic, and not behind another topic that nobody may have', t => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  for (const n of [1, 2, 3])
    for (const topic of ['a/refused', 'a/late']) placements.add(ASKED, message(topic, `${n}`))
  t.mock.timers.tick(1_000)
  assert.deepEqual(placed, [])
  assert.equal(placements.isWaiting(ASKED, 'a/late'), true)
  taken = /late/
  t.mock.timers.tick(100)
  assert.deepEqual(placed, ['a/late 1', 'a/late 2', 'a/late 3'])
  assert.equal(placements.isWaiting(ASKED, 'a/late'), false)
  assert.equal(placements.isWaiting(ASKED, 'a/refused'), true)
  assert.equal(forgotten, 0)
})

test('messages that nobody takes for 15 s are forgotten, each with a word', t => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  placements.add(ASKED, message('a/x', 'old'))
  t.mock.timers.tick(10_000)
  placements.add(ASKED, message('a/x', 'new'))
  t.mock.timers.tick(5_000)
  assert.equal(forgotten, 1)
  taken = /./
  t.mock.timers.tick(100)
  assert.deepEqual(placed, ['a/x new'])
})

test('messages are not forgotten while the node hears of no other one', t => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  hears = false
  placements.add(ASKED, message('a/x', 'one'))
  t.mock.timers.tick(60_000)
  hears = true
  t.mock.timers.tick(14_000)
  assert.equal(forgotten, 0)
  taken = /./
  t.mock.timers.tick(100)
  assert.deepEqual(placed, ['a/x one'])
})

test('messages wait within a bound, and what does not fit is forgotten', t => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const half = Buffer.alloc(PLACEMENT_BYTES_MAX / 2)
  placements.add(ASKED, message('a/1', half))
  placements.add(ASKED, message('a/2', half))
  assert.equal(forgotten, 1)
  taken = /./
  t.mock.timers.tick(100)
  assert.equal(placed.length, 1)
  placements.add(ASKED, message('a/3', half))
  assert.equal(forgotten, 1)
})
