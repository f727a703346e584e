// What one note or one session throws keeps no other from being written, looked at or cut.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createSessions } from '../../../broker/mqtt/connection/sessions.ts'
import { createRegistryHealth } from '../../../broker/registry/registry-health.ts'
import { createRegistryWriteBuffer } from '../../../broker/registry/write-buffer.ts'
import { watchRevocations } from '../../../broker/revocation/revocation-watch.ts'
import type { UseNote } from '../../../db/broker-notes.ts'
import type { Change } from '../../../db/change-feed.ts'
import { until } from '../../cli/running.ts'

test('a note that cannot be written is left out, and what waits beside it is written', async () => {
  const written: string[] = []
  const failures: unknown[] = []
  const notes = {
    enter() {},
    leave() {},
    seen() {},
    acknowledge: () => written.push('acknowledged'),
    uses(batch: UseNote[]) {
      if (batch.some(({ deviceId }) => deviceId === 'poison')) throw new Error('injected')
      written.push(...batch.map(({ deviceId }) => deviceId))
    },
    arrivals: () => written.push('arrived'),
  }
  const writeBuffer = createRegistryWriteBuffer({
    nodeId: 'n',
    epoch: 0,
    notes: notes as never,
    everyMs: 60_000,
    now: () => 0,
    report: () => ({ replica: null, busConnected: null, drainAt: null }),
    sessions: createSessions(),
    explainDenial: () => null,
    storedSession: () => ({ kept: false, waiting: 0 }),
    onWaiting: error => failures.push(error),
  })
  for (const deviceId of ['a', 'poison', 'b']) writeBuffer.use(deviceId, deviceId)
  writeBuffer.arrival({ fingerprint: 'f', issuerId: 'i', der: Buffer.alloc(0), address: '', at: 0 })
  writeBuffer.acknowledge({ epoch: 1, sessionsCut: 0, at: 0 } as never)
  assert.deepEqual(written, ['acknowledged', 'a', 'b', 'arrived'])
  assert.equal(failures.length, 1)
  writeBuffer.close()
  assert.deepEqual(
    written,
    ['acknowledged', 'a', 'b', 'arrived'],
    'nothing is written twice, the poison never',
  )
})

test('a session that cannot be cut keeps no other in, by a change and by the clock', async () => {
  const cut: string[] = []
  const doubts: unknown[] = []
  const session = (deviceId: string) => ({ identity: { deviceId }, rightEndsAt: 0, since: 0 })
  const sessions = ['poison', 'a', 'b'].map(session)
  const change: Change = { epoch: 1, at: 0, kind: 'device', deviceId: 'any', fingerprint: null } as never
  const watch = watchRevocations({
    feed: { dataVersion: () => 1, changesAfter: (epoch: number) => (epoch < 1 ? [change] : []) } as never,
    epoch: 0,
    pollMs: 5,
    expiryCheckMs: 5,
    health: createRegistryHealth(60_000, error => doubts.push(error)),
    admit: () => ({ admitted: false, reason: 'certificate_expired', record: null }),
    maxSessionAgeMs: 0,
    engine: {
      sessions: { ofCertificate: () => [], ofDevice: () => sessions, all: () => sessions } as never,
      cut({ identity }: { identity: { deviceId: string } }) {
        if (identity.deviceId === 'poison') throw new Error('injected')
        cut.push(identity.deviceId)
      },
      end() {},
      rebind() {},
      reauthorizeStoredState() {},
      policiesChanged: () => [],
      purge: async () => {},
    } as never,
    isGone: () => true,
    assertSameRegistry() {},
    memory: null,
    now: () => 1,
    onIssuersChanged() {},
    onChange() {},
    onAcknowledged() {},
    onDoubt: error => doubts.push(error),
  })
  try {
    await until(async () => cut.filter(id => id === 'b').length >= 2, 'the others are cut both ways')
    assert.equal(cut[0], 'a')
    assert.ok(doubts.length > 0)
    assert.equal(watch.healthy(), false, 'and it is said aloud')
  } finally {
    watch.stop()
  }
})
