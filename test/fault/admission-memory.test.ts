// What admissions leave behind in the memory of the broker: nothing. Node 24.21 kept some 6 KB of native memory for each connection
// whose client certificate a CA signed.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { peakResidentKib } from '../../bench/cpu.ts'
import { type Device, enrollMany, knock } from '../e2e/devices.ts'
import { type System, scratch, startSystem } from '../e2e/system.ts'
import { length } from './length.ts'

/** Connections at once, each of a device of its own. */
const DEVICES = 16
/** A leak of 6 KB an admission, as Node 24.21 had, makes 1.16 of it in the short run. */
const GROWTH_MAX = length(1.1, 1.15)

// A small heap fills within the first admissions. What grows afterwards is held outside it, or leaks. Peaks are compared, for a
// collection gives back up to 40 MiB at any time.
const smallHeap = { NODE_OPTIONS: '--max-old-space-size=96 --max-semi-space-size=4' }

test('resident memory of the broker after many admissions is that after few', async t => {
  const [few, many] = [length(5_000, 20_000), length(10_000, 200_000)]
  using folder = scratch()
  await using system = await startSystem(folder.at('data'), { env: smallHeap })
  const ids = Array.from({ length: DEVICES }, (_, index) => `device-${index}`)
  const devices = await enrollMany(system, folder.path, ids)
  const broker = system.childPid('broker')

  await admissions(system, devices, few)
  const before = peakResidentKib(broker)
  await admissions(system, devices, many - few)
  const after = peakResidentKib(broker)

  t.diagnostic(
    `${Math.round(before / 1024)} MiB after ${few} admissions, ${Math.round(after / 1024)} MiB after ${many}`,
  )
  assert.ok(after <= before * GROWTH_MAX, `${after} KiB is at most ${GROWTH_MAX} × ${before} KiB`)
})

async function admissions(system: System, devices: readonly Device[], count: number): Promise<void> {
  let left = count
  await Promise.all(
    devices.map(async device => {
      while (left > 0) {
        left -= 1
        assert.equal(await knock(system.mqttsPort, device.id, device), 'connack 0')
      }
    }),
  )
}
