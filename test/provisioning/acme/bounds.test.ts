// What ACME keeps between requests, and how much: nonces and orders.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createNonces } from '../../../provisioning/acme/nonces.ts'
import { createOrders, ORDERS_EACH_MAX, ORDERS_MAX } from '../../../provisioning/acme/orders.ts'

test('nonces: each is used once, those of others never, and the oldest end first', () => {
  const nonces = createNonces(8)
  const given = Array.from({ length: 8 }, () => nonces.issue())
  assert.equal(new Set(given).size, 8)
  for (const nonce of given) assert.deepEqual([nonces.use(nonce), nonces.use(nonce)], [true, false])
  const first = nonces.issue()
  for (let more = 0; more < 8; more += 1) nonces.issue()
  assert.equal(nonces.use(first), false, 'eight newer ones end it')
  assert.equal(createNonces().use(nonces.issue()), false, 'of another process')
  fc.assert(fc.property(fc.stringMatching(/^[\w-]{30}$/), text => assert.equal(nonces.use(text), false)))
})

test('orders are bounded, for each account and in all, and end', () => {
  let at = 0
  const orders = createOrders(() => at)
  const identifiers = [{ type: 'dns', value: 'x' }] as const
  const [first] = Array.from({ length: ORDERS_EACH_MAX }, () => orders.open('one', identifiers, null))
  assert.ok(orders.open('one', identifiers, null), 'in place of the oldest of the same account')
  assert.equal(orders.find(first!.id), null)
  for (let account = 0; orders.size() < ORDERS_MAX; account += 1)
    orders.open(`a${account}`, identifiers, null)
  assert.equal(orders.open('late', identifiers, null), null, 'those of others stay')
  // A client finalizes at once: with accounts of one claim alone, orders that nobody finalizes would keep all others out for an hour.
  at = 60_000
  const [waiting] = orders.of('a0')
  waiting!.state = 'processing'
  assert.ok(orders.open('late', identifiers, null))
  assert.equal(orders.find(waiting!.id), waiting)
  assert.equal(orders.size(), ORDERS_MAX)
  const [finished] = orders.of('one')
  finished!.state = 'valid'
  assert.ok(orders.open('late', identifiers, null))
  assert.equal(orders.find(finished!.id), null)
  at = 2 * 60 * 60_000
  assert.ok(orders.open('later', identifiers, null))
  assert.equal(orders.size(), 1)
})
