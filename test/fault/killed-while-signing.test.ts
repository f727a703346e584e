// kill -9 of provisioning at each of its writes while it issues a certificate: what was signed is on record, a repeated request
// is served, and no serial number is given twice.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { after, before, describe, it } from 'node:test'
import Sqlite from 'better-sqlite3'
import { makeKey, makeRequest } from '../../cli/enrollment/key-pair.ts'
import { until } from '../cli/running.ts'
import { knock } from '../e2e/devices.ts'
import { type System, scratch, startSystem } from '../e2e/system.ts'
import { length } from './length.ts'

/** An enrollment writes so often at most; some of the moments, or each. */
const WRITES_MAX = 60
const STEP = length(17, 1)

describe('kill -9 at every write of an enrollment', () => {
  const world = scratch()
  const log = world.at('data', 'registry.db-wal')
  let system: System
  before(async () => {
    system = await startSystem(world.at('data'))
  })
  after(async () => {
    await system?.[Symbol.asyncDispose]()
    world[Symbol.dispose]()
  })

  /** From now on provisioning dies at its n-th write to the log of the registry, or its n-th wait for the disk. */
  async function killAt(call: 'pwrite64' | 'fsync,fdatasync', count: number) {
    const pid = system.childPid('provisioning')
    const inject = `inject=${call}:signal=KILL:when=${count}`
    const args = ['-f', '-p', String(pid), '-P', log, '-e', `trace=${call}`, '-e', inject, '-o', '/dev/null']
    const tracer = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] })
    const left = once(tracer, 'exit')
    await once(tracer.stderr, 'data') // attached
    return async (died: boolean) => {
      if (!died) tracer.kill('SIGINT') // it lets go of the watched process
      const overdue = setTimeout(() => tracer.kill('SIGKILL'), 2_000)
      await left
      clearTimeout(overdue)
    }
  }

  for (const call of ['pwrite64', 'fsync,fdatasync'] as const)
    it(`leaves nothing that cannot be revoked, killed at ${call}`, async t => {
      let kills = 0
      for (let count = 1; count < WRITES_MAX; count += call === 'pwrite64' ? STEP : 1) {
        const id = `${call.slice(0, 2)}-${count}`
        await system.api.call('POST', '/v1/devices', { id })
        const key = await makeKey('p256')
        const csr = await makeRequest(id, key, 'p256')
        const release = await killAt(call, count)
        const path = `/v1/devices/${id}/certificates`
        const answer = await system.api.call('POST', path, { csr }).catch(() => null)
        await release(answer === null)
        if (answer === null) {
          kills += 1
          await until(
            async () => (await system.api.call('GET', `/v1/devices/${id}`).catch(() => null))?.status === 200,
            'provisioning is back',
            60_000,
          )
        } else assert.equal(answer.status, 201)
        const again = answer ?? (await system.api.call('POST', path, { csr }))
        assert.equal(again.status, 201, JSON.stringify(again.body))
        const certificate = [again.body.certificate, ...again.body.chain].join('')
        assert.equal(await knock(system.mqttsPort, id, { certificate, key }), 'connack 0')
        const listed = await system.api.call('GET', `/v1/certificates?deviceId=${id}`)
        for (const { fingerprint } of listed.body.items) {
          const revoked = await system.api.call('POST', `/v1/certificates/${fingerprint}/revoke`, {})
          assert.equal(revoked.status, 200)
        }
        assert.notEqual(await knock(system.mqttsPort, id, { certificate, key }), 'connack 0')
        if (answer !== null) break // it was done before its n-th write
      }
      t.diagnostic(`killed at ${kills} different writes (${call}) of an enrollment`)
      assert.ok(kills > 0)
    })

  it('gives no serial number twice, and signs none that is not on record', async () => {
    assert.equal(await system.end(), 0)
    const registry = new Sqlite(world.at('data', 'registry.db'), { readonly: true })
    const rows = (sql: string) => registry.prepare(sql).pluck().all()
    assert.equal(registry.pragma('integrity_check', { simple: true }), 'ok')
    assert.deepEqual(
      rows('SELECT serial_number FROM certificates GROUP BY serial_number HAVING count(*) > 1'),
      [],
    )
    assert.deepEqual(
      rows('SELECT serial_number FROM issuances GROUP BY serial_number HAVING count(*) > 1'),
      [],
    )
    const unintended =
      'SELECT serial_number FROM certificates WHERE serial_number NOT IN (SELECT serial_number FROM issuances)'
    assert.deepEqual(rows(unintended), [])
    registry.close()
    system = await startSystem(world.at('data'))
  })
})
