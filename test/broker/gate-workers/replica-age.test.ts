// Gates over a replica: each knows how old it is at most, and admits nobody by one that is too old.
import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { createLimits } from '../../../broker/gate/limits/connection-limits.ts'
import { createTicketKeys } from '../../../broker/gate/tls/ticket-keys.ts'
import { openGatePool } from '../../../broker/gate-workers/pool.ts'
import { askReplicaAge } from '../../../broker/gate-workers/replica-age.ts'
import { validateSettings } from '../../../broker/settings/validation.ts'
import { until } from '../../cli/running.ts'
import { connectPacket, openTls } from '../../harness/broker.ts'
import { createRoll } from '../../harness/roll.ts'

test('an answer counts from its question, and while there is none the replica grows older', () => {
  mock.timers.enable({ apis: ['setTimeout'] })
  try {
    let now = 1_000
    let asked = 0
    const ask = () => {
      asked += 1
    }
    const age = askReplicaAge({ ask, everyMs: 100, now: () => now })
    assert.equal(age.ageMs(), Number.POSITIVE_INFINITY)
    now = 1_500
    age.answered(20)
    assert.equal(age.ageMs(), 520)
    assert.equal(asked, 1)
    mock.timers.tick(100)
    assert.equal(asked, 2)
    mock.timers.tick(1_000)
    assert.equal(asked, 2, 'one question at a time')
    now = 5_000
    assert.equal(age.ageMs(), 4_020)
    // Asked at 1,500. An older replica than known cannot be.
    age.answered(9_000)
    assert.equal(age.ageMs(), 4_020)
    mock.timers.tick(100)
    age.answered(Number.POSITIVE_INFINITY)
    assert.equal(age.ageMs(), 4_020)
  } finally {
    mock.timers.reset()
  }
})

for (const registryLossMode of ['closed', 'open'] as const)
  test(`a gate admits nobody by a replica that is too old, nor leaves it to the engine, in mode ${registryLossMode}`, async () => {
    const roll = await createRoll()
    const identity = await roll.enroll('d1')
    const settings = validateSettings({ gates: 1, isolationAdmitMs: 1_000, registryLossMode })
    const ticketKeys = createTicketKeys(settings.ticketLifetimeMs)
    let replicaAgeMs = 0
    let handed = 0
    const refusals: string[] = []
    const nothing = () => {}
    const pool = await openGatePool({
      ...{ data: roll.data, host: '127.0.0.1', port: 0, gates: 1, settings },
      registry: roll.registry,
      replicaAgeMs: () => replicaAgeMs,
      ticketKeys: ticketKeys.now,
      limits: createLimits(settings, () => performance.now()),
      handleConnection({ stream }) {
        handed += 1
        stream.destroy()
        return { drop: nothing }
      },
      deviceOf: () => null,
      selfRegistration: { note: () => true },
      observer: {
        refused: reason => void refusals.push(reason),
        ...{ handshakeTook: nothing, refusalDelayed: nothing, admissionTook: nothing },
        ...{ trustReloaded: nothing, trustNotReloaded: nothing, registryInDoubt: nothing },
        ...{ gateReady: nothing, gateFigures: nothing, gateDied: nothing },
      },
    })
    try {
      const visit = async () => {
        const socket = await openTls({ broker: pool, roll }, { identity })
        socket.on('error', nothing)
        socket.write(connectPacket({ clientId: 'd1' }))
        socket.resume()
        await new Promise(resolve => socket.once('close', resolve))
      }
      const isHanded = async () => {
        const before = handed
        await visit()
        return handed > before
      }
      assert.ok(await isHanded())
      assert.deepEqual(refusals, [])
      replicaAgeMs = 1_001
      await until(async () => !(await isHanded()), 'nobody is handed over')
      await until(() => refusals.length > 0, 'a refusal is told')
      assert.deepEqual([...new Set(refusals)], ['registry_unavailable'])
      assert.ok(!(await isHanded()))
      replicaAgeMs = 0
      await until(isHanded, 'the device is handed over again')
    } finally {
      ticketKeys.stop()
      await pool.stop()
      await roll.close()
    }
  })
