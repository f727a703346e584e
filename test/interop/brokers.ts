// The brokers that clients of MQTT 5 are tried against: ours, and Debian's mosquitto as a control. Both let a device do
// what is below `devices/ID/`, and a backend everything there.
import { type Device, enroll } from '../e2e/devices.ts'
import { type System, startSystem } from '../e2e/system.ts'
import { backends, startControlBroker } from './control-broker.ts'

export type Target = AsyncDisposable & {
  name: TargetName
  port: number
  device(id: string): Promise<Pick<Device, 'id' | 'certificate' | 'key' | 'files'>>
  backends: Pick<Device, 'id' | 'certificate' | 'key' | 'files'>[]
  /** Ours alone. */
  system: System | null
}

export const targetNames = ['mosquitto', 'rollcall'] as const
export type TargetName = (typeof targetNames)[number]

/** Everything goes below `directory`. */
export async function startTarget(name: TargetName, directory: string): Promise<Target> {
  if (name === 'mosquitto') {
    const broker = await startControlBroker(directory)
    return {
      ...broker,
      name,
      backends: await Promise.all(backends.map(id => broker.device(id))),
      system: null,
    }
  }
  const system = await startSystem(`${directory}/data`)
  return {
    name,
    port: system.mqttsPort,
    device: id => enroll(system.api, directory, id),
    backends: await Promise.all(
      backends.map(id => enroll(system.api, directory, id, { groups: ['backend'] })),
    ),
    system,
    [Symbol.asyncDispose]: () => system[Symbol.asyncDispose](),
  }
}
