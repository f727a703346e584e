// Clearing retained messages: a change for the brokers and an audit row for each, in one transaction.
import { type Actor, appendAudit } from '../audit/audit.ts'
import { appendChange } from '../change-feed.ts'
import type { Registry } from '../open.ts'
import { transact } from '../transact.ts'

/** Of `deviceId` alone, where it is not null; `publisher` is the device that published it as far as is known, for the record. */
export type Clearing = { topic: string; deviceId: string | null; publisher: string | null }

type RetainedWriter = {
  /** Clears what these topics retain, if it was published before; gives the epochs, of which there is one at least. */
  clearRetained(
    clearings: readonly [Clearing, ...Clearing[]],
    actor: Actor,
  ): Promise<{ epoch: number; epochs: number[] }>
}

export function createRetainedWriter(registry: Registry, now: () => number): RetainedWriter {
  return {
    clearRetained: (clearings, actor) =>
      transact(registry, async transaction => {
        const at = now()
        const epochs: number[] = []
        for (const { topic, deviceId, publisher } of clearings) {
          const detail = { deviceId: publisher }
          await appendAudit(transaction, { at, actor, action: 'retained.clear', target: topic, detail })
          epochs.push(await appendChange(transaction, { kind: 'retained', at, topic, deviceId }))
        }
        return { epoch: epochs.at(-1)!, epochs }
      }),
  }
}
