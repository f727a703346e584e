// What admissions leave behind in the memory of the broker: nothing. Node 24.21 kept some 6 KB of native memory for each connection
// whose client certificate a CA signed.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nativeHeapKib, peakResidentKib } from '../../bench/cpu.ts'
import { knock } from '../e2e/devices.ts'
import { forkBroker } from '../harness/fork.ts'
import { createRoll } from '../harness/roll.ts'
import { length } from './length.ts'

/** Connections at once, each of a device of its own. */
const DEVICES = 8
/** Of native memory for each admission. Without a leak a thousand take 2 MB at most, which later ones use again. */
const LEFT_KIB_MAX = 3.5
/** Of the highest resident memory. Few admissions take as much again, for the heap still grows. */
const GROWTH_MAX = length(2, 1.15)

// A small heap fills within the first admissions. What grows afterwards is held outside it, or leaks. Peaks are compared, for a
// collection gives back up to 40 MiB at any time.
process.env['NODE_OPTIONS'] = '--max-old-space-size=96 --max-semi-space-size=4'

test('memory of the broker after many admissions is that after few', async t => {
  const [few, many] = [length(300, 20_000), length(1_300, 200_000)]
  await using roll = { ...(await createRoll()), [Symbol.asyncDispose]: () => roll.close() }
  const settings = { addressRatePerSecond: 1_000_000, addressBurst: 1_000_000 }
  const broker = await forkBroker(roll, { settings })
  const devices: Device[] = []
  for (let index = 0; index < DEVICES; index += 1)
    devices.push({ id: `d${index}`, ...(await roll.enroll(`d${index}`)) })

  async function memoryAfter(count: number) {
    await admissions(broker.port, devices, count)
    await broker.measure() // a full collection
    return { native: nativeHeapKib(broker.pid), peak: peakResidentKib(broker.pid) }
  }
  try {
    const before = await memoryAfter(few)
    const after = await memoryAfter(many - few)
    const left = (after.native - before.native) / (many - few)
    const growth = after.peak / before.peak
    t.diagnostic(
      `${many - few} admissions after ${few}: ${left.toFixed(2)} KiB of native memory each, highest resident memory ` +
        `${Math.round(after.peak / 1024)} MiB, ${growth.toFixed(2)} × ${Math.round(before.peak / 1024)} MiB`,
    )
    assert.ok(left <= LEFT_KIB_MAX, `an admission leaves ${left} KiB`)
    assert.ok(growth <= GROWTH_MAX, `${after.peak} KiB is at most ${GROWTH_MAX} × ${before.peak} KiB`)
  } finally {
    await broker.close()
  }
})

type Device = { id: string; certificate: string; key: string }

async function admissions(port: number, devices: readonly Device[], count: number): Promise<void> {
  let left = count
  await Promise.all(
    devices.map(async device => {
      while (left > 0) {
        left -= 1
        assert.equal(await knock(port, device.id, device), 'connack 0')
      }
    }),
  )
}
