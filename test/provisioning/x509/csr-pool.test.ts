// CSRs read on threads: the same verdicts as without, nobody waits for ever, and a quiet service has no threads.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readCsr } from '../../../provisioning/x509/csr.ts'
import { createCsrPool } from '../../../provisioning/x509/csr-pool.ts'
import { makeCsr } from '../harness.ts'

test('many at once get the verdict that each would get alone, in their own order', async () => {
  const pool = createCsrPool(2)
  const good = [makeCsr('p256').csr, makeCsr('ed25519').csr, makeCsr('rsa2048').csr]
  const all = [...good, 'no PEM', makeCsr('rsa1024').csr, ...good, '']
  const many = Array.from({ length: 10 }, () => all).flat()
  const readings = await Promise.all(many.map(csr => pool.read(csr)))
  const alone = await Promise.all(all.map(csr => readCsr(csr)))
  for (const [index, reading] of readings.entries()) {
    assert.deepEqual(reading, alone[index % all.length])
    if (reading.accepted) assert.ok(Buffer.isBuffer(reading.key.spki))
  }
  await pool.close()
})

test('twenty a second, one after the other, need no thread, and one more has one started', async () => {
  let now = 5_000
  const pool = createCsrPool(2, () => now)
  const { csr } = makeCsr('p256')
  for (const second of [0, 1, 2]) {
    now = 5_000 + second * 1_001
    for (let index = 0; index < 20; index += 1) assert.ok((await pool.read(csr)).accepted)
    assert.equal(pool.threads(), 0)
  }
  assert.ok((await pool.read(csr)).accepted)
  assert.equal(pool.threads(), 1)
  await pool.close()
})

test('callers that wait when it closes are told', async () => {
  const pool = createCsrPool(1)
  const { csr } = makeCsr('p256')
  const outcomes = Promise.allSettled(Array.from({ length: 100 }, () => pool.read(csr)))
  await new Promise(resolve => setImmediate(resolve))
  await new Promise(resolve => setImmediate(resolve))
  await pool.close()
  const settled = await outcomes
  assert.equal(settled.length, 100)
  assert.ok(
    settled.some(outcome => outcome.status === 'rejected' && /ended|closed/.test(outcome.reason.message)),
  )
})
