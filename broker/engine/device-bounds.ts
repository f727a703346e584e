// What one device may have of what all share, by the settings; a backend has more of it. Pure.
import type { BrokerSettings } from '../config.ts'
import type { RetainedBounds } from './retained-ledger.ts'
import type { RateBounds } from './token-bucket.ts'

export type DeviceBounds = { retained: RetainedBounds; rate: RateBounds }

/** Those of a device, and those of a backend. */
export function createDeviceBounds(settings: BrokerSettings): (isBackend: boolean) => DeviceBounds {
  const bounds = [1, settings.backendFactor].map(factor => ({
    retained: {
      messages: settings.deviceRetainedMessagesMax * factor,
      bytes: settings.deviceRetainedBytesMax * factor,
    },
    rate: {
      messagesPerSecond: settings.deviceMessagesPerSecond * factor,
      messagesBurst: settings.deviceMessagesBurst * factor,
      bytesPerSecond: settings.deviceBytesPerSecond * factor,
      bytesBurst: settings.deviceBytesBurst * factor,
    },
  }))
  return isBackend => bounds[isBackend ? 1 : 0]!
}
