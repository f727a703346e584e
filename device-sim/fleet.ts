// Many devices: starts them at a pace, lets them run, ends them together. Refuses to know what one device does.
import { createDevice, type Device, type DeviceFate, type DeviceSurroundings } from './device.ts'
import type { Identity } from './identity.ts'
import { forEachBounded } from './pace.ts'

export type Fleet = {
  size: number
  /** Starts all devices at `rate` per second. Resolves when the last was started, or on abort. */
  rampUp(rate: number, signal: AbortSignal): Promise<void>
  /** Devices by what became of them. */
  fates(): Record<DeviceFate, number>
  /** No more messages; waits at most `drainMs` for acknowledgements, then disconnects everyone. */
  end(drainMs: number): Promise<void>
}

const GOODBYES_AT_ONCE = 100
const DRAIN_LOOK_MS = 10

export function createFleet(identities: readonly Identity[], surroundings: DeviceSurroundings): Fleet {
  const { schedule, measurements } = surroundings
  const devices: Device[] = identities.map(identity => createDevice(identity, surroundings))

  async function drained(deadline: number): Promise<void> {
    while (measurements.inFlight > 0 && schedule.now() < deadline) {
      await schedule.wait(schedule.now() + DRAIN_LOOK_MS)
    }
  }

  return {
    size: devices.length,
    async rampUp(rate, signal) {
      const startAt = schedule.now()
      for (const [index, device] of devices.entries()) {
        const dueAt = startAt + (index * 1000) / rate
        // Also when it is overdue: catching up takes its turns with everything else.
        await schedule.wait(dueAt, signal)
        if (signal.aborted) return
        device.start(dueAt)
      }
    },
    fates() {
      const fates = { not_started: 0, connecting: 0, connected: 0, dropped: 0, refused: 0, unreachable: 0 }
      for (const device of devices) fates[device.fate()]++
      return fates
    },
    async end(drainMs) {
      for (const device of devices) device.quiet()
      await drained(schedule.now() + drainMs)
      await forEachBounded(devices, GOODBYES_AT_ONCE, device => device.stop())
    },
  }
}
