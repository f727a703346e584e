// What subscribers lack where the clocks of sender and subscriber differ.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { createDeliveryTracker } from '../../../device-sim/fleet/delivery-tracker.ts'
import type { Device } from '../../../device-sim/fleet/device-state.ts'
import { missingByQos } from '../../../device-sim/fleet/missing-messages.ts'
import type { WorkerContext } from '../../../device-sim/fleet/worker-context.ts'

it('is not a message that may have been sent before the subscription, by clocks that differ', () => {
  const deliveries = createDeliveryTracker()
  for (const sequence of [2, 3]) deliveries.arrived(0, 1, sequence, 1)
  const plan = { subscribe: [{ filter: 'all/#', qos: 1 }] }
  const device = { index: 0, id: 'd', filters: ['all/#'], subscribedAt: 100, session: {}, group: { plan } }
  const stream = { stream: 1, topic: 'all/d', qos: 1 as const, sent: 4, firstSentAt: 110, unacknowledged: [] }
  const missing = (clocksDifferMs: number) =>
    missingByQos(
      [device as unknown as Device],
      [stream],
      { deliveries } as unknown as WorkerContext,
      clocksDifferMs,
    )
  // The fourth is missing whatever the clocks say.
  assert.deepEqual(missing(0), [0, 2, 0])
  assert.deepEqual(missing(20), [0, 1, 0])
})
