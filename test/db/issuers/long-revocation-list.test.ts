// Withdrawn certificates are found by themselves, not by looking at every certificate of the issuer for each of them.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fillRoll } from '../../../bench/large-roll.ts'
import { prepareRevocationReader } from '../../../db/issuers/revocation-reader.ts'
import { createRoll } from '../../harness/roll.ts'

test('200 suspended devices among 20,000 are gathered at once', async () => {
  const { registry, issuerId, close } = await createRoll()
  try {
    await fillRoll(registry, issuerId, 20_000)
    registry.sqlite.exec("UPDATE devices SET state = 'suspended' WHERE rowid % 100 = 0")
    const reader = prepareRevocationReader(registry.sqlite)
    const began = performance.now()
    let suspended = 0
    for (const rows of reader.withdrawn(issuerId, Date.now()))
      suspended += rows.filter(({ deviceState }) => deviceState === 'suspended').length
    const tookMs = performance.now() - began
    assert.ok(suspended > 150, `${suspended} of them`)
    // 20 ms; ten seconds where each is looked for among all.
    assert.ok(tookMs < 5_000, `${tookMs} ms`)
  } finally {
    await close()
  }
})
