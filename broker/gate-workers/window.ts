// Flow control of one stream between two processes: bytes sent and not yet consumed at the other end.
// Pure: counts bytes, sends nothing.

/** Bytes of one stream and direction that may be under way. */
export const WINDOW_BYTES = 64 * 1024
/** Credit is sent in steps, so that small messages do not cost a frame each. */
const CREDIT_STEP_BYTES = WINDOW_BYTES / 4

type SendWindow = {
  /** Counts bytes out; false where the window is then full. */
  take(bytes: number): boolean
  /** Counts what the other end consumed; true where the window has room. */
  give(bytes: number): boolean
}

export function createSendWindow(): SendWindow {
  let underWay = 0
  return {
    take(bytes) {
      underWay += bytes
      return underWay < WINDOW_BYTES
    },
    give(bytes) {
      underWay -= bytes
      return underWay < WINDOW_BYTES
    },
  }
}

/** Counts consumed bytes; returns the credit to send, or 0 below one step. */
export function createReceiptCount(): (bytes: number) => number {
  let untold = 0
  return bytes => {
    untold += bytes
    if (untold < CREDIT_STEP_BYTES) return 0
    const credit = untold
    untold = 0
    return credit
  }
}
