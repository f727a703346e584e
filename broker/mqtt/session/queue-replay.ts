// Hands the stored queue of a kept session to its connection: first again what was sent and not acknowledged, then what waits, then
// what joins meanwhile, in order [MQTT-4.6.0-6]. No more at once than the client's window and its socket take.

import type { Output } from '../connection/output.ts'
import type { Message } from '../message.ts'
import { messageOf, type QueuedRow } from '../persistence/session-queue.ts'
import type { SessionStore } from '../persistence/session-store.ts'
import { encodeAcknowledgement } from '../protocol/encode.ts'
import type { Client, SessionState } from '../state.ts'
import type { DeliveryService } from './delivery.ts'
import { inFlightOf, takeIdentifier } from './session-state.ts'

const PAGE = 100
/** So much may be on its way to a client before it has read more. */
const AHEAD_BYTES = 262_144

export function createQueueReplay(parts: {
  store: SessionStore
  output: Output
  delivery: DeliveryService
  isDraining(): boolean
  dropped(what: 'aged' | 'too_large', clientId: string): void
}) {
  const { store, output, delivery } = parts
  const { queue } = store

  /** Begins with a connection that has just been accepted. */
  function resume(state: SessionState): void {
    state.inFlight = null
    if (state.row === null) return
    state.isQueueing = true
    state.resendAfter = 0
    goOn(state)
  }

  /** Sends what may be sent now; called again whenever there may be room. */
  function goOn(state: SessionState): void {
    const { client } = state
    if (!state.isQueueing || client === null || !delivery.isOpen(client)) return
    if (state.row === null) {
      state.isQueueing = false
      return
    }
    while (delivery.isOpen(client) && output.owedBytes(client) < AHEAD_BYTES) {
      const room = delivery.windowOf(state)
      if (room <= 0) return
      const more =
        state.resendAfter === null
          ? replayPage(state, client, state.row, room)
          : sendAgain(state, client, state.row, room)
      if (!more) return
    }
  }

  /** Also while the broker stops: it was begun. */
  function sendAgain(state: SessionState, client: Client, session: number, room: number): boolean {
    const rows = queue.sent(session, state.resendAfter ?? 0, Math.min(room, PAGE))
    if (rows.length === 0) {
      state.resendAfter = null
      return true
    }
    for (const row of rows) {
      state.resendAfter = row.id
      const messageId = row.messageId!
      putInFlight(state, row, messageId)
      if (row.released === 1) {
        output.sendAfter(client, null, encodeAcknowledgement('pubrel', client.version, messageId))
        continue
      }
      // Its age and expiry are not asked: delivery was begun [MQTT-4.3.3-7] [MQTT-4.4.0-1].
      if (!client.session.rights.receive(row.topic)) giveUp(state, client, messageId)
      else publish(state, client, row, messageId, null, true)
    }
    return true
  }

  function putInFlight(state: SessionState, row: QueuedRow, messageId: number): void {
    inFlightOf(state).set(messageId, {
      qos: row.qos as 1 | 2,
      released: row.released === 1,
      row: row.id,
      bytes: row.bytes,
      shared: null,
    })
  }

  /**
   * What was sent may not be sent again. Of QoS 2 its receiver may hold the identifier, and would take another message by it for the
   * same one: PUBREL frees it on both sides.
   */
  function giveUp(state: SessionState, client: Client, messageId: number): void {
    const entry = state.inFlight?.get(messageId)
    if (entry?.qos !== 2 || entry.row === null) {
      delivery.forget(state, messageId)
      return
    }
    queue.release(entry.row)
    entry.released = true
    output.sendAfter(client, store.kept(), encodeAcknowledgement('pubrel', client.version, messageId))
  }

  function replayPage(state: SessionState, client: Client, session: number, room: number): boolean {
    if (parts.isDraining()) return false
    const rows = queue.unsent(session, Math.min(room, PAGE))
    if (rows.length === 0) {
      state.isQueueing = false
      return false
    }
    const sending: [row: QueuedRow, messageId: number][] = []
    for (const row of rows) {
      if (isUnwanted(client, session, row)) continue
      const messageId = takeIdentifier(state)
      queue.send(row.id, messageId)
      putInFlight(state, row, messageId)
      sending.push([row, messageId])
    }
    // One wait for the disk for all of them.
    const group = sending.length > 0 ? store.kept() : null
    for (const [row, messageId] of sending) publish(state, client, row, messageId, group, false)
    return true
  }

  /** What has waited too long, or may not be received any more, is struck out. */
  function isUnwanted(client: Client, session: number, row: QueuedRow): boolean {
    const isTooOld = queue.isTooOld(row)
    if (!isTooOld && client.session.rights.receive(row.topic)) return false
    queue.strikeOut(session, row.id, row.bytes)
    if (isTooOld) parts.dropped('aged', client.session.identity.deviceId)
    return true
  }

  function publish(
    state: SessionState,
    client: Client,
    row: QueuedRow,
    messageId: number,
    group: Promise<void> | null,
    dup: boolean,
  ): void {
    const message: Message = messageOf(row)
    const identifiers = row.identifiers === null ? [] : row.identifiers.split(',').map(Number)
    const encoded = delivery.encodingFor(client, message, row.qos, row.retain === 1, identifiers, dup, [])
    if (encoded === null) {
      if (dup) giveUp(state, client, messageId)
      else delivery.forget(state, messageId) // [MQTT-3.1.2-25]
      parts.dropped('too_large', client.session.identity.deviceId)
      return
    }
    output.sendAfter(client, group, encoded.bytes, encoded.identifierAt, messageId)
    delivery.sent(message)
  }

  return { resume, goOn }
}

export type QueueReplay = ReturnType<typeof createQueueReplay>
