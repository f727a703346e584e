// How many connections fit into the descriptors of a process.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connectionsThatFit } from '../../../../broker/gate/limits/descriptor-limit.ts'

const limits = (soft: string) =>
  `Limit                     Soft Limit           Hard Limit           Units
Max processes             unlimited            unlimited            processes
Max open files            ${soft}                20000                files
`

test('some descriptors are kept for everything else', () => {
  assert.equal(connectionsThatFit(limits('1024')), 960)
  assert.equal(connectionsThatFit(limits('65')), 1)
})

test('a limit too small for the rest leaves one, and no limit leaves all', () => {
  assert.equal(connectionsThatFit(limits('20')), 1)
  assert.equal(connectionsThatFit(limits('unlimited')), Number.POSITIVE_INFINITY)
  assert.equal(connectionsThatFit(''), Number.POSITIVE_INFINITY)
})
