// CMP transactions: what one device asked for in several messages. In memory: a restart ends them, and the device begins again. Each has an end, and each
// sender a bound below that of all; an ID that was used is remembered until its end, so that no message counts twice.
import type { CertificateRequestType } from './message-writer.ts'

/** `open` waits for an operator or a confirmation; `closed` waits for nothing. */
export type Transaction = {
  readonly id: string
  readonly sender: string
  state: 'deciding' | 'waiting' | 'unconfirmed' | 'confirmed' | 'closed'
  /** The senderNonce of the last answer, which the next message returns. */
  nonce: Buffer | null
  asked: Asked | null
  endsAt: number
}
/** What was asked for, and the certificate that came of it. */
export type Asked = {
  type: CertificateRequestType
  requestId: 0 | -1
  fingerprint: string
  implicitConfirm: boolean
  grantedWithMods: boolean
}

export type Transactions = {
  begin(id: Buffer, sender: string): Transaction | { refused: 'in use' | 'too many' }
  /** One that is not over, and puts off its end. */
  find(id: Buffer): Transaction | null
  size(): number
}

/** A device that waits polls each minute. */
export const TRANSACTION_SECONDS = 600
const LIFE_MS = TRANSACTION_SECONDS * 1_000
export const TRANSACTIONS_MAX = 10_000
export const TRANSACTIONS_EACH_MAX = 20

export function createTransactions(now: () => number): Transactions {
  /** The one that ends first comes first. */
  const transactions = new Map<string, Transaction>()
  const perSender = new Map<string, Set<Transaction>>()

  function drop(transaction: Transaction): void {
    transactions.delete(transaction.id)
    const theirs = perSender.get(transaction.sender)
    theirs?.delete(transaction)
    if (theirs?.size === 0) perSender.delete(transaction.sender)
  }

  /** A clock that is set back ends them too. */
  const isOver = ({ endsAt }: Transaction) => endsAt <= now() || endsAt > now() + LIFE_MS

  function dropEnded(): void {
    for (const transaction of transactions.values()) {
      if (!isOver(transaction)) break
      drop(transaction)
    }
  }

  /** Makes room by forgetting the oldest that waits for nothing; false where all wait. */
  function makeRoom(among: Iterable<Transaction>): boolean {
    for (const transaction of among) {
      if (transaction.state !== 'closed' && transaction.state !== 'confirmed') continue
      drop(transaction)
      return true
    }
    return false
  }

  return {
    begin(octets, sender) {
      dropEnded()
      const id = octets.toString('hex')
      if (transactions.has(id)) return { refused: 'in use' }
      const theirs = perSender.get(sender) ?? new Set()
      if (theirs.size >= TRANSACTIONS_EACH_MAX && !makeRoom(theirs)) return { refused: 'too many' }
      if (transactions.size >= TRANSACTIONS_MAX && !makeRoom(transactions.values()))
        return { refused: 'too many' }
      const endsAt = now() + LIFE_MS
      const transaction: Transaction = { id, sender, state: 'deciding', nonce: null, asked: null, endsAt }
      transactions.set(id, transaction)
      perSender.set(sender, (perSender.get(sender) ?? new Set()).add(transaction))
      return transaction
    },

    find(octets) {
      dropEnded()
      const found = transactions.get(octets.toString('hex'))
      if (found === undefined) return null
      found.endsAt = now() + LIFE_MS
      transactions.delete(found.id)
      transactions.set(found.id, found)
      return found
    },

    size: () => transactions.size,
  }
}
