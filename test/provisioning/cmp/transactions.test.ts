// CMP transactions: an ID once, an end for each, and bounds that no sender can fill for another.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  createTransactions,
  TRANSACTION_SECONDS,
  TRANSACTIONS_EACH_MAX,
  TRANSACTIONS_MAX,
  type Transaction,
} from '../../../provisioning/cmp/transactions.ts'

const LIFE_MS = TRANSACTION_SECONDS * 1_000
const id = (number: number) => Buffer.from(String(number).padStart(16, '0'))
const begun = (given: Transaction | { refused: string }) => {
  assert.ok(!('refused' in given), JSON.stringify(given))
  return given
}

test('an ID is taken until its end, which each message puts off, and a clock set back ends it', () => {
  let now = 1_000_000
  const transactions = createTransactions(() => now)
  begun(transactions.begin(id(1), 'a'))
  assert.deepEqual(transactions.begin(id(1), 'b'), { refused: 'in use' })
  now += LIFE_MS - 1
  assert.notEqual(transactions.find(id(1)), null)
  now += LIFE_MS - 1
  assert.notEqual(transactions.find(id(1)), null)
  now += LIFE_MS
  assert.equal(transactions.find(id(1)), null)
  begun(transactions.begin(id(1), 'b'))
  now -= 1
  assert.equal(transactions.find(id(1)), null, 'the clock was set back')
  assert.equal(transactions.size(), 0)
})

test('a sender that has all of its transactions open gets no other, and one that is over makes room', () => {
  const transactions = createTransactions(() => 0)
  const own = Array.from({ length: TRANSACTIONS_EACH_MAX }, (_, at) => begun(transactions.begin(id(at), 'a')))
  assert.deepEqual(transactions.begin(id(100), 'a'), { refused: 'too many' })
  begun(transactions.begin(id(101), 'b'))
  own[3]!.state = 'confirmed'
  begun(transactions.begin(id(100), 'a'))
  assert.equal(transactions.find(id(3)), null)
  assert.deepEqual(transactions.begin(id(102), 'a'), { refused: 'too many' })
})

test('all of them are bounded, and those that wait stay', () => {
  const transactions = createTransactions(() => 0)
  const all = Array.from({ length: TRANSACTIONS_MAX }, (_, at) =>
    begun(transactions.begin(id(at), `sender ${at}`)),
  )
  assert.deepEqual(transactions.begin(id(TRANSACTIONS_MAX), 'late'), { refused: 'too many' })
  all[7]!.state = 'closed'
  begun(transactions.begin(id(TRANSACTIONS_MAX), 'late'))
  assert.equal(transactions.find(id(7)), null)
  assert.equal(transactions.size(), TRANSACTIONS_MAX)
})
