// When a credential was last used, and from where: at most once a minute each, beside the request and never in its way.
import type { OperatorStore } from '../../db/operators/operator-store.ts'
import type { Holder, TokenStore } from '../../db/operators/token-store.ts'

export type LastUse = {
  note(holder: Holder, address: string): void
  /** Waits for what is being written. */
  close(): Promise<void>
}

type LastUseParts = {
  store: Pick<TokenStore, 'noteTokenUse'> & Pick<OperatorStore, 'noteOperatorUse'>
  now: () => number
  failed: (error: unknown) => void
}

const NOTED_EVERY_MS = 60_000
/** More than there can be credentials at a time. */
const CREDENTIALS_MAX = 50_000

export function createLastUse({ store, now, failed }: LastUseParts): LastUse {
  // What was tried, not what was written: a registry that cannot be written is asked once a minute too.
  const tried = new Map<string, number>()
  const pending = new Set<Promise<void>>()
  return {
    note(holder, address) {
      const at = now()
      const last = tried.get(holder.id) ?? holder.lastUsedAt
      if (last !== null && Math.abs(at - last) < NOTED_EVERY_MS) return
      if (tried.size >= CREDENTIALS_MAX) tried.clear()
      tried.set(holder.id, at)
      const write = holder.kind === 'token' ? store.noteTokenUse : store.noteOperatorUse
      const writing = write(holder.id, at, address).catch(failed)
      pending.add(writing)
      void writing.finally(() => pending.delete(writing))
    },
    close: async () => void (await Promise.all(pending)),
  }
}
