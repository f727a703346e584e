// What one device may have of what all share, by the settings; a backend has more of it. Pure.
import type { BrokerSettings } from '../settings/validation.ts'
import { TOPIC_ALIASES_MAX } from './connection/client.ts'
import type { RateBounds } from './connection/token-bucket.ts'
import type { RetainedBounds } from './persistence/retained-quota.ts'
import { REDELIVERY_BYTES_MAX } from './routing/shared-groups.ts'
import { UNSENT_QOS_FACTOR, WAITING_BYTES_MAX } from './session/delivery.ts'

export type DeviceBounds = { retained: RetainedBounds; rate: RateBounds; subscriptionBytes: number }

/** Those of a device, and those of a backend. */
export function createDeviceBounds(settings: BrokerSettings): (isBackend: boolean) => DeviceBounds {
  const bounds = [1, settings.backendFactor].map(factor => ({
    retained: {
      messages: settings.deviceRetainedMessagesMax * factor,
      bytes: settings.deviceRetainedBytesMax * factor,
    },
    subscriptionBytes: settings.deviceSubscriptionBytesMax * factor,
    rate: {
      messagesPerSecond: settings.deviceMessagesPerSecond * factor,
      messagesBurst: settings.deviceMessagesBurst * factor,
      bytesPerSecond: settings.deviceBytesPerSecond * factor,
      bytesBurst: settings.deviceBytesBurst * factor,
    },
  }))
  return isBackend => bounds[isBackend ? 1 : 0]!
}

export type MemoryRow = { what: string; bytes: number }

/** What the broker keeps of one device in memory at most, by row, in bytes. */
export function memoryOfDevice(settings: BrokerSettings): MemoryRow[] {
  const { packetBytesMax, outboundBytesMax } = settings
  return [
    { what: 'packet being read', bytes: packetBytesMax + 2 * PIECE_BYTES },
    { what: 'messages being handled', bytes: 2 * packetBytesMax },
    { what: 'QoS 2 without PUBREL', bytes: settings.inflightInboundMax * 128 },
    { what: 'unsent messages', bytes: UNSENT_QOS_FACTOR * outboundBytesMax + packetBytesMax },
    { what: 'queue being handed out', bytes: packetBytesMax },
    { what: 'redelivery of shared subscriptions', bytes: REDELIVERY_BYTES_MAX },
    { what: 'messages beyond its window', bytes: WAITING_BYTES_MAX },
    { what: 'topic aliases', bytes: 3 * TOPIC_ALIASES_MAX * settings.topicBytesMax },
    { what: 'subscriptions', bytes: settings.deviceSubscriptionBytesMax },
    { what: 'will', bytes: 2 * settings.connectBytesMax + PIECE_BYTES },
    { what: 'retained messages', bytes: settings.deviceRetainedBytesMax },
  ]
}

/** What is read from a connection at once. */
const PIECE_BYTES = 65_536
