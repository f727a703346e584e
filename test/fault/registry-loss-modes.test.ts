// The registry is taken away under load and comes back: mosquitto's clients against `rollcall up`, once in each mode.
import assert from 'node:assert/strict'
import { renameSync } from 'node:fs'
import { describe, it } from 'node:test'
import { until } from '../cli/running.ts'
import { type Device, enrollMany, knock, stay } from '../e2e/devices.ts'
import { asDevice, run } from '../e2e/mosquitto.ts'
import { scratch, startSystem } from '../e2e/system.ts'

const LISTED = ['known-1', 'known-2', 'known-3', 'condemned', 'newcomer', 'inside']

describe('a registry taken away under load', () => {
  for (const mode of ['closed', 'open'] as const) {
    it(`${mode}: ${mode === 'closed' ? 'admits nobody' : 'admits the devices that it last listed, and no others'} until it is back`, async () => {
      using world = scratch()
      await using system = await startSystem(world.at('data'), {
        env: { ROLLCALL_BROKER_REGISTRY_LOSS_MODE: mode, ROLLCALL_BROKER_REGISTRY_LOSS_MS: '500' },
      })
      const devices = await enrollMany(system, world.path, LISTED)
      const device = (id: string) => devices.find(one => one.id === id) as Device
      const [condemned, newcomer, inside] = [device('condemned'), device('newcomer'), device('inside')]
      const known = devices.filter(({ id }) => id.startsWith('known-'))
      const port = system.mqttsPort
      const publish = (visitor: Device, payload: string) =>
        run('mosquitto_pub', [
          ...asDevice(port, visitor),
          '-t',
          `devices/${visitor.id}/up`,
          '-m',
          payload,
          '-q',
          '1',
        ])
      const knocks = async (...visitor: Device[]) =>
        Promise.all(visitor.map(one => knock(port, one.id, one))).then(seen => seen.join(', '))
      for (const visitor of [...known, condemned]) assert.equal((await publish(visitor, 'before')).code, 0)
      const session = await stay(port, inside.id, inside)

      const visits: { began: number; code: number | null }[] = []
      let loading = true
      const load = known.map(async visitor => {
        while (loading) {
          const began = performance.now()
          visits.push({ began, code: (await publish(visitor, 'load')).code })
        }
      })
      /** How so many visits ended that begin from now on. */
      const next = async (many: number) => {
        const now = performance.now()
        const codes = () => visits.filter(({ began }) => began > now).map(({ code }) => code)
        await until(() => codes().length >= many, 'clients come and go', 60_000)
        return codes()
      }

      assert.ok((await next(6)).every(code => code === 0))
      const file = world.at('data', 'registry.db')
      renameSync(file, `${file}.away`)
      await system.logged(/is gone or was replaced.*registry in doubt/)
      const lost = await next(12)
      if (mode === 'open') assert.deepEqual([...new Set(lost)], [0])
      else assert.ok(lost.every(code => code !== 0))
      assert.equal(await knocks(newcomer, known[0]!), mode === 'open' ? 'cut, connack 0' : 'cut, cut')
      if (mode === 'open') await system.logged(/still admitting the devices that it last listed/)
      const asked = await system.api.call('POST', `/v1/certificates/${condemned.fingerprint}/revoke`, {})
      assert.deepEqual([asked.status, asked.body.reason], [503, 'registry_unavailable'])

      renameSync(`${file}.away`, file)
      await until(async () => (await knocks(newcomer)) === 'connack 0', 'it admits again')
      const receipt = await system.api.call('POST', `/v1/certificates/${condemned.fingerprint}/revoke`, {})
      assert.deepEqual([receipt.status, receipt.body.nodesAcknowledged], [200, 1])
      assert.equal(await knocks(condemned), 'connack 5')
      assert.ok((await next(6)).every(code => code === 0))

      // What was read before it went again counts, for every remembered device.
      renameSync(file, `${file}.away`)
      await until(async () => (await knocks(condemned)) === 'cut', 'the broker notices')
      assert.equal(await knocks(newcomer), mode === 'open' ? 'connack 0' : 'cut')
      loading = false
      await Promise.all(load)
      renameSync(`${file}.away`, file)
      await until(async () => (await publish(known[0]!, 'over')).code === 0, 'it admits again')
      assert.ok((await system.metric('rollcall_registry_open_decisions_total')) >= (mode === 'open' ? 12 : 0))
      assert.equal(await session.lives(), true)
      session.end()
    })
  }
})
