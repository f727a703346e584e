// The registry goes away or rots under a running broker: no device is admitted in doubt, sessions stay, and both
// services say what is the matter.
import assert from 'node:assert/strict'
import {
  closeSync,
  cpSync,
  existsSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { after, before, describe, it } from 'node:test'
import Sqlite from 'better-sqlite3'
import { until } from '../cli/running.ts'
import { type Device, enrollMany, knock, stay } from '../e2e/devices.ts'
import { attemptUp, failureIn, processesNaming, scratch, startSystem } from '../e2e/system.ts'

type World = ReturnType<typeof scratch>
type Devices = Record<'inside' | 'newcomer' | 'revoked', Device>

/** The name leads to another file, or to none. */
const losses: Record<string, (file: string) => void> = {
  'is deleted': file => rmSync(file),
  'is moved away': file => renameSync(file, `${file}.moved`),
  'is replaced by an empty file': file => {
    rmSync(file)
    writeFileSync(file, '')
  },
}

/** The file stays and its content does not, as a failing disk or a wrong `dd` leaves it. */
const damages: Record<string, (file: string) => void> = {
  'is cut to nothing': file => truncateSync(file, 0),
  'is overwritten from its first page on': file => overwrite(file, 0),
  'is overwritten behind its first page': file => overwrite(file, 4096),
  'is overwritten together with its log': file => {
    overwrite(file, 0)
    overwrite(`${file}-wal`, 0)
  },
}

/** Repeated refusals of one certificate are not held back. */
const repeatedRefusals = { ROLLCALL_BROKER_REFUSAL_DELAY_MS: '0' }

describe('a registry that under a running broker', () => {
  const made = scratch()
  let devices: Devices
  before(async () => {
    devices = await prepare(made)
  })
  after(() => made[Symbol.dispose]())
  const copyTo = (data: string) => cpSync(made.at('data'), data, { recursive: true })

  for (const [how, happens] of Object.entries(losses)) {
    it(`${how} lets nobody new in and nobody inside out, and takes no change`, async () => {
      using world = scratch()
      const { inside, newcomer } = devices
      copyTo(world.at('data'))
      await using system = await startSystem(world.at('data'))
      const session = await stay(system.mqttsPort, inside.id, inside)
      assert.equal(await knock(system.mqttsPort, newcomer.id, newcomer), 'connack 0')
      happens(world.at('data', 'registry.db'))
      const noticed = async () => (await knock(system.mqttsPort, newcomer.id, newcomer)) !== 'connack 0'
      await until(noticed, 'the broker notices')
      for (let visit = 0; visit < 5; visit += 1)
        assert.equal(await knock(system.mqttsPort, newcomer.id, newcomer), 'cut')
      const counted = await system.metric('rollcall_refusals_total{reason="registry_unavailable"}')
      assert.ok(counted >= 5, `${counted} counted`)
      await system.logged(/"reason":"registry_unavailable".*"msg":"refused"/)
      await system.logged(/is gone or was replaced.*registry in doubt/)
      assert.equal(await session.lives(), true)
      const asked = await system.api.call('POST', '/v1/devices', { id: 'too-late' })
      assert.deepEqual([asked.status, asked.body.reason], [503, 'registry_unavailable'])
      session.end()
    })
  }

  for (const [how, happens] of Object.entries(damages)) {
    it(`${how} admits nobody in doubt, keeps live sessions, and is not started upon again`, async () => {
      using world = scratch()
      const { inside, newcomer, revoked } = devices
      copyTo(world.at('data'))
      const system = await startSystem(world.at('data'), { env: repeatedRefusals })
      try {
        const session = await stay(system.mqttsPort, inside.id, inside)
        happens(world.at('data', 'registry.db'))
        // What SQLite still holds intact may decide; what it cannot read refuses.
        for (let visit = 0; visit < 30; visit += 1) {
          const seen = await knock(system.mqttsPort, newcomer.id, newcomer)
          assert.ok(seen === 'connack 0' || seen === 'cut', seen)
          const gone = await knock(system.mqttsPort, revoked.id, revoked)
          assert.ok(gone === 'connack 5' || gone === 'cut', gone)
          assert.equal(await knock(system.mqttsPort, newcomer.id, null), 'cut')
        }
        assert.equal(await session.lives(), true)
        session.end()
      } finally {
        await system.killAll()
      }
      const again = attemptUp(world.at('data'))
      assert.equal(await again.ended, 1, again.log())
      const { error } = failureIn(again.log())
      assert.match(error, /registry\.db/)
      assert.match(error, /restore/)
      assert.deepEqual(processesNaming(world.at('data')), [])
    })
  }
})

/** A data directory with two devices that may enter and one that may not, all of it in one file and none in the log beside. */
async function prepare(world: World): Promise<Devices> {
  const system = await startSystem(world.at('data'))
  const devices = await enrollMany(system, world.path, ['inside', 'newcomer', 'revoked'])
  const { inside, newcomer, revoked } = Object.fromEntries(devices.map(device => [device.id, device]))
  assert.ok(inside && newcomer && revoked)
  const receipt = await system.api.call('POST', `/v1/certificates/${revoked.fingerprint}/revoke`, {})
  assert.equal(receipt.status, 200)
  assert.equal(await system.end(), 0)
  const registry = new Sqlite(world.at('data', 'registry.db'))
  registry.pragma('wal_checkpoint(TRUNCATE)')
  registry.close()
  return { inside, newcomer, revoked }
}

/** Garbage over the whole file from here on, in place. */
function overwrite(file: string, from: number): void {
  if (!existsSync(file) || statSync(file).size <= from) return
  const garbage = Buffer.alloc(statSync(file).size - from, 0xa5)
  const descriptor = openSync(file, 'r+')
  writeSync(descriptor, garbage, 0, garbage.length, from)
  closeSync(descriptor)
}
