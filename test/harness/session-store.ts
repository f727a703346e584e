// What a session store is given where no engine is around it: everything granted, nobody ending, bounds that nothing meets.
import type { SessionStoreParts } from '../../broker/engine/durable/stored-state.ts'
import type { SessionFile } from '../../db/sessions/session-file.ts'

export function storeParts(given: Partial<SessionStoreParts> & { file: SessionFile }): SessionStoreParts {
  return {
    bounds: {
      offlineMessagesMax: 100_000,
      offlineBytesMax: 1_000_000_000,
      offlineBytesTotalMax: 1_000_000_000,
      offlineAgeMaxMs: 604_800_000,
      inflightInboundMax: 65_535,
      retainedMessagesMax: 100_000,
      retainedBytesMax: 1_000_000_000,
    },
    now: Date.now,
    isGranted: () => true,
    onAcknowledged() {},
    isEnding: () => false,
    isDenied: () => true,
    whose: () => null,
    mayShow: () => true,
    retainedBoundsOf: () => ({ messages: 100_000, bytes: 1_000_000_000 }),
    onForgotten() {},
    onDropped() {},
    onUnkept() {},
    onLost() {},
    onKept() {},
    ...given,
  }
}
