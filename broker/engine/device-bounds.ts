// What one device may have of what all share, by the settings; a backend has more of it. Pure.
import type { BrokerSettings } from '../config.ts'
import type { RetainedBounds } from './retained-ledger.ts'

export type DeviceBounds = { retained: RetainedBounds }

export function deviceBounds(
  settings: Pick<BrokerSettings, 'backendFactor' | 'deviceRetainedMessagesMax' | 'deviceRetainedBytesMax'>,
  isBackend: boolean,
): DeviceBounds {
  const factor = isBackend ? settings.backendFactor : 1
  return {
    retained: {
      messages: settings.deviceRetainedMessagesMax * factor,
      bytes: settings.deviceRetainedBytesMax * factor,
    },
  }
}
