// Connections that wait for their handshake: in order of arrival for each address, addresses in turn, and those that no
// device on the roll came from lately in a line of their own. Holds no socket and sets no timer. Every operation takes
// constant time, however many wait: each step that `take` passes over was paid for by a change of that address.
import type { Reason } from '../../../db/reason.ts'

type WaitingHandshake = { address: string; answer: (refusal: Reason | null) => void }
export type Called = WaitingHandshake & { tooLate: boolean }

/** Where an address waits: for a handshake, for one of those that strangers share, or for one of its own to end. */
export type Lane = 'known' | 'strangers' | 'held'

type HandshakeQueue = {
  /** False where it is full. */
  enter(waiter: WaitingHandshake): boolean
  /** Whether no connection of this address waits. */
  isEmptyFor(address: string): boolean
  /** What decides the line of this address may have changed. */
  changed(address: string): void
  /** The next connection, from the lane of strangers only if they may start; null for none. */
  take(strangersMayStart: boolean): Called | null
  size(): number
}

type Waiting = WaitingHandshake & { since: number; next: Waiting | null }

/** An address with waiting connections, linked into its lane. */
type Queue = { address: string; line: Lane; first: Waiting; last: Waiting; before: Link; after: Link }
type Link = Queue | Ends
/** Both ends of a lane; the entry after it is the first. */
type Ends = { address: null; before: Link; after: Link }

/** `now` gives monotonic milliseconds; `lineOf` where an address belongs now. */
export function createHandshakeQueue(
  settings: { handshakesWaitingMax: number; handshakeWaitMs: number },
  now: () => number,
  lineOf: (address: string) => Lane,
): HandshakeQueue {
  const queues = new Map<string, Queue>()
  const lines: Record<Lane, Ends> = { known: emptyLine(), strangers: emptyLine(), held: emptyLine() }
  let size = 0
  /** The lane whose turn it is, so that neither starves the other. */
  let turn: 'known' | 'strangers' = 'known'

  /** Puts an address at the end of the line where it belongs; false where it is in that line already. */
  function move(queue: Queue): boolean {
    const line = lineOf(queue.address)
    if (line === queue.line) return false
    unlink(queue)
    queue.line = line
    append(lines[line], queue)
    return true
  }

  function first(line: Lane): Queue | null {
    for (;;) {
      const queue = lines[line].after
      if (queue.address === null) return null
      if (!move(queue)) return queue
    }
  }

  function call(queue: Queue): Called {
    const { address, answer, since, next } = queue.first
    unlink(queue)
    size -= 1
    if (next === null) queues.delete(address)
    else {
      queue.first = next
      append(lines[queue.line], queue)
    }
    return { address, answer, tooLate: now() - since > settings.handshakeWaitMs }
  }

  return {
    enter(waiter) {
      if (size >= settings.handshakesWaitingMax) return false
      const waiting: Waiting = { ...waiter, since: now(), next: null }
      size += 1
      const queue = queues.get(waiter.address)
      if (queue !== undefined) {
        queue.last.next = waiting
        queue.last = waiting
        return true
      }
      const line = lineOf(waiter.address)
      const ends = lines[line]
      const added = {
        address: waiter.address,
        line,
        first: waiting,
        last: waiting,
        before: ends,
        after: ends,
      }
      append(ends, added)
      queues.set(waiter.address, added)
      return true
    },
    isEmptyFor: address => !queues.has(address),
    changed(address) {
      const queue = queues.get(address)
      if (queue !== undefined) move(queue)
    },
    take(strangersMayStart) {
      // In this order: an address that was forgotten meanwhile goes from the known ones to the strangers.
      const known = first('known')
      const stranger = strangersMayStart ? first('strangers') : null
      const queue = turn === 'known' ? (known ?? stranger) : (stranger ?? known)
      if (queue === null) return null
      turn = queue === known ? 'strangers' : 'known'
      return call(queue)
    },
    size: () => size,
  }
}

function emptyLine(): Ends {
  const ends = { address: null } as Ends
  ends.before = ends
  ends.after = ends
  return ends
}

function append(ends: Ends, queue: Queue): void {
  queue.before = ends.before
  queue.after = ends
  ends.before.after = queue
  ends.before = queue
}

function unlink({ before, after }: Queue): void {
  before.after = after
  after.before = before
}
