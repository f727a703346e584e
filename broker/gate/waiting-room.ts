// Connections that wait for their handshake: in order of arrival for each address, addresses in turn, and those that no
// device on the roll came from lately in a line of their own. Holds no socket and sets no timer.
import type { Reason } from '../../db/reason.ts'

export type Waiter = { address: string; answer: (refusal: Reason | null) => void }
export type Called = Waiter & { tooLate: boolean }

export type WaitingRoom = {
  /** False where it is full. */
  enter(waiter: Waiter, stranger: boolean): boolean
  /** Whether nobody from this address waits. */
  isEmptyFor(address: string): boolean
  /** Who is next of those whose address may start now; null for nobody. */
  take(mayStart: (address: string) => boolean): Called | null
  size(): number
}

type Line = Map<string, (Waiter & { since: number })[]>

/** `now` gives monotonic milliseconds. */
export function createWaitingRoom(
  settings: { handshakesWaitingMax: number; handshakeWaitMs: number },
  now: () => number,
): WaitingRoom {
  const known: Line = new Map()
  const strangers: Line = new Map()
  let size = 0
  /** Whose turn it is: neither line can starve the other. */
  let turn = known

  function first(line: Line, mayStart: (address: string) => boolean): string | null {
    for (const address of line.keys()) if (mayStart(address)) return address
    return null
  }

  function call(line: Line, address: string): Called {
    const queue = line.get(address)!
    const { since, ...waiter } = queue.shift()!
    line.delete(address)
    if (queue.length > 0) line.set(address, queue)
    size -= 1
    return { ...waiter, tooLate: now() - since > settings.handshakeWaitMs }
  }

  return {
    enter(waiter, stranger) {
      if (size >= settings.handshakesWaitingMax) return false
      // An address stays in the line that it stands in.
      const line =
        strangers.has(waiter.address) || (stranger && !known.has(waiter.address)) ? strangers : known
      const queue = line.get(waiter.address) ?? []
      queue.push({ ...waiter, since: now() })
      line.set(waiter.address, queue)
      size += 1
      return true
    },
    isEmptyFor: address => !known.has(address) && !strangers.has(address),
    take(mayStart) {
      const other = turn === known ? strangers : known
      for (const line of [turn, other]) {
        const address = first(line, mayStart)
        if (address === null) continue
        turn = line === known ? strangers : known
        return call(line, address)
      }
      return null
    },
    size: () => size,
  }
}
