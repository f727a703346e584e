// Orders (RFC 8555 §7.1.3): what an account asked for and what came of it. In memory: a restart ends them, and the client begins again. Each has an end,
// and each account a bound below that of all.
import { randomBytes } from 'node:crypto'
import type { OrderError } from './acme-problems.ts'

export type Identifier = { type: 'dns' | 'permanent-identifier'; value: string }

/** `processing` waits for the decision, or, with a fingerprint, for an operator. */
export type Order = {
  readonly id: string
  readonly accountId: string
  readonly identifiers: readonly Identifier[]
  /** The certificate that it is to follow, as the client named it (RFC 9773 §5). */
  readonly replaces: string | null
  readonly endsAt: number
  state: 'ready' | 'processing' | 'valid' | 'invalid'
  fingerprint: string | null
  error: OrderError | null
}

export type Orders = {
  /** Null where all there may be are open. */
  open(accountId: string, identifiers: readonly Identifier[], replaces: string | null): Order | null
  find(id: string): Order | null
  of(accountId: string): Order[]
  size(): number
}

const ORDER_MS = 60 * 60_000
/** A client finalizes within seconds: one that has not makes room for others where there is none. */
const UNUSED_MS = 60_000
export const ORDERS_MAX = 10_000
export const ORDERS_EACH_MAX = 20

export function createOrders(now: () => number): Orders {
  /** The one that ends first comes first. */
  const orders = new Map<string, Order>()
  const perAccount = new Map<string, Set<Order>>()

  function drop(order: Order): void {
    orders.delete(order.id)
    const theirs = perAccount.get(order.accountId)
    theirs?.delete(order)
    if (theirs?.size === 0) perAccount.delete(order.accountId)
  }

  /** A clock that is set back ends them too. */
  const isOver = ({ endsAt }: Order) => endsAt <= now() || endsAt > now() + ORDER_MS

  function dropEnded(): void {
    for (const order of orders.values()) {
      if (!isOver(order)) break
      drop(order)
    }
  }

  /** Makes room by forgetting the oldest that is decided or was not finalized for long, or, of the same account, that nobody works on. */
  function makeRoom(among: Iterable<Order>, own: boolean): boolean {
    for (const order of among) {
      const isDeciding = order.state === 'processing' && order.fingerprint === null
      const isUnused = order.state === 'ready' && order.endsAt - ORDER_MS <= now() - UNUSED_MS
      const isOpen = (order.state === 'ready' && !isUnused) || order.state === 'processing'
      if (isDeciding || (!own && isOpen)) continue
      drop(order)
      return true
    }
    return false
  }

  return {
    open(accountId, identifiers, replaces) {
      dropEnded()
      const theirs = perAccount.get(accountId)
      if (theirs !== undefined && theirs.size >= ORDERS_EACH_MAX && !makeRoom(theirs, true)) return null
      if (orders.size >= ORDERS_MAX && !makeRoom(orders.values(), false)) return null
      const id = randomBytes(16).toString('base64url')
      const order: Order = {
        ...{ id, accountId, identifiers, replaces, endsAt: now() + ORDER_MS },
        ...{ state: 'ready', fingerprint: null, error: null },
      }
      orders.set(id, order)
      perAccount.set(accountId, (perAccount.get(accountId) ?? new Set()).add(order))
      return order
    },

    find(id) {
      dropEnded()
      return orders.get(id) ?? null
    },

    of(accountId) {
      dropEnded()
      return [...(perAccount.get(accountId) ?? [])]
    },

    size: () => orders.size,
  }
}
