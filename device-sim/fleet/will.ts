// The will of a device's session, with its names filled in. Does not know when it is sent.
import type { Will } from '../links/session.ts'
import type { WillPlan } from '../scenario/plan.ts'
import { type Device, fill } from './device-state.ts'
import { deathPayload } from './sparkplug.ts'

export function willOf(device: Device, { topic, payload, sparkplug, qos, retain }: WillPlan): Will {
  const bytes = sparkplug ? deathPayload(device.node) : Buffer.from(fill(device, payload))
  return { topic: fill(device, topic), payload: bytes, qos, retain }
}
