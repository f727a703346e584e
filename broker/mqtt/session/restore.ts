// Takes up what the broker's last life left: stored sessions with their subscriptions, QoS 2 half done, retained messages, wills.
import type { SessionStore } from '../persistence/session-store.ts'
import type { RetainedMessages } from '../routing/retained.ts'
import type { SessionTable } from './session-table.ts'
import type { Wills } from './wills.ts'

/** Sequence numbers, which order queues, go on from those that were left. */
export function restore(parts: {
  store: SessionStore
  table: SessionTable
  retained: RetainedMessages
  wills: Wills
  nextSequence(): number
  setSequence(value: number): void
}): void {
  const { store, table, retained, wills } = parts
  const left = store.load()
  parts.setSequence(left.sequence)
  for (const row of left.sessions) table.restore(row)
  for (const { device, ...subscription } of left.subscriptions) {
    const state = table.get(device)
    if (state !== undefined) table.restoreSubscription(state, subscription)
  }
  for (const { device, messageId } of left.incoming) {
    const state = table.get(device)
    if (state === undefined) continue
    state.incoming ??= new Set()
    state.incoming.add(messageId)
  }
  for (const { device, ...row } of left.retained)
    retained.restore({ ...row, retain: true, publisher: device, sequence: parts.nextSequence() })
  for (const row of left.wills) wills.restore(row)
  const publishers = new Set(retained.publishers())
  store.principals.load(device => publishers.has(device))
}
