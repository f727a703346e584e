// Which node gets a message of a shared subscription where nodes with members of it end.
import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import { createSharedNodes } from '../../../broker/mqtt/cluster/shared-nodes.ts'

const ASKED = '$share/g/devices/#'
const [ONE, TWO] = [1, 2]

let elsewhere: readonly number[]
let shared: ReturnType<typeof createSharedNodes>
beforeEach(() => {
  elsewhere = []
  shared = createSharedNodes({
    setElsewhere(asked, nodes) {
      assert.equal(asked, ASKED)
      elsewhere = nodes
    },
  })
})

const joins = (node: number) => shared.change(node, { startsAnew: false, joined: [ASKED], left: [] })

test('what a node says when it starts anew takes the place of all it said before', () => {
  joins(ONE)
  shared.change(ONE, { startsAnew: true, joined: [ASKED], left: [] })
  assert.deepEqual(elsewhere, [ONE])
  shared.change(ONE, { startsAnew: true, joined: [], left: [] })
  assert.deepEqual(elsewhere, [])
})

test('a group whose members are all of a node that has ended is known until that node is forgotten', () => {
  joins(ONE)
  shared.end(ONE)
  assert.deepEqual(elsewhere, [ONE])
  assert.equal(shared.hasEnded(ONE), true)
  shared.forgetOthers(new Set([TWO]))
  assert.deepEqual(elsewhere, [])
  assert.equal(shared.hasEnded(ONE), false)
})

test('a node that lives and has members goes before one that has ended, also where it says so later', () => {
  joins(ONE)
  joins(TWO)
  shared.end(ONE)
  assert.deepEqual(elsewhere, [TWO])
  shared.change(TWO, { startsAnew: false, joined: [], left: [ASKED] })
  assert.deepEqual(elsewhere, [ONE])
  joins(TWO)
  assert.deepEqual(elsewhere, [TWO])
})

test('a node that has ended is not taken for a living one by what it said before, also where it had no members until then', () => {
  assert.equal(shared.end(ONE), true)
  assert.equal(shared.end(ONE), false, 'no news')
  joins(ONE)
  joins(TWO)
  assert.deepEqual(elsewhere, [TWO])
  shared.forgetOthers(new Set([TWO]))
  assert.equal(shared.hasEnded(ONE), false)
})
