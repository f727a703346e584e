// What a start does about the lists that an earlier one left.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import type { RevocationReader } from '../../../db/issuers/revocation-reader.ts'
import type { IssuingCa } from '../../../provisioning/ca/issuing-ca.ts'
import { startCrlService } from '../../../provisioning/revocation/crl-service.ts'

const folder = mkdtempSync(join(tmpdir(), 'rollcall-crl-'))
after(() => rmSync(folder, { recursive: true }))
const HOUR_MS = 3_600_000
const kept = Buffer.from('a list')

/** A service of one CA whose last list has this hash, and how often it went through what was withdrawn. */
async function start(hash: string) {
  let gathered = 0
  const unused = () => assert.fail('nothing is signed here')
  const reader = {
    version: () => '1',
    withdrawn: () => {
      gathered += 1
      throw new Error('the registry is not read here')
    },
    status: unused,
    signed: unused,
  } satisfies RevocationReader
  const service = await startCrlService({
    cas: () => [{ id: 'ca' } as IssuingCa],
    reader,
    store: {
      newest: () => ({
        ...{ number: 7, entries: 0, entriesHash: '', hash },
        ...{ thisUpdate: Date.now(), nextUpdate: Date.now() + HOUR_MS },
      }),
      takeCrlNumber: unused,
      recordCrl: unused,
    },
    ...{ folder, lifetimeMs: HOUR_MS, leads: () => true, files: null, now: Date.now },
    onMade: unused,
    onFailed() {},
  })
  return { service, gathered: () => gathered }
}

test('a start serves the list that was kept, and goes through what was withdrawn at its next look', async () => {
  writeFileSync(join(folder, 'ca.crl'), kept)
  const { service, gathered } = await start(createHash('sha256').update(kept).digest('hex'))
  await setImmediate()
  assert.deepEqual([service.crl('ca')?.der, gathered()], [kept, 0])
  await service.look()
  assert.equal(gathered(), 1)
  await service.stop()
})

test('where a list is missing or is not the one on record, a start makes it at once', async () => {
  for (const file of [kept, null]) {
    if (file === null) rmSync(join(folder, 'ca.crl'))
    const { service, gathered } = await start('another')
    await setImmediate()
    assert.deepEqual([service.crl('ca'), gathered()], [null, 1])
    await service.stop()
  }
})
