// The same change on many, a few at a time, until done or told to stop. Each has an outcome of its own.

export type BulkOutcome = { name: string; sessionsCut: number; failure: string | null }

const AT_ONCE = 4

/** `act` gives how many sessions it cut. */
export async function runBulk<Item>(
  items: readonly Item[],
  { nameOf, act }: { nameOf: (item: Item) => string; act: (item: Item) => Promise<number> },
  { signal, onOutcome }: { signal: AbortSignal; onOutcome: (outcome: BulkOutcome) => void },
): Promise<void> {
  let next = 0
  async function work(): Promise<void> {
    while (next < items.length && !signal.aborted) {
      const item = items[next]!
      next += 1
      const name = nameOf(item)
      try {
        onOutcome({ name, sessionsCut: await act(item), failure: null })
      } catch (error) {
        onOutcome({ name, sessionsCut: 0, failure: error instanceof Error ? error.message : 'failed' })
      }
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
}
