// What a broker notes, sent to PostgreSQL in order and once each. A provisioning process writes it into the registry. While PostgreSQL
// does not answer, notes wait here up to a bound; beyond it the verbs throw, and callers keep theirs.
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { BrokerNotes } from '../broker-notes.ts'
import { RegistryError } from '../registry-error.ts'
import { encodeArguments, type NoteCall, noteCalls } from './note-calls.ts'
import type { PostgresSettings } from './postgres.ts'
import { isOfRow } from './postgres-answers.ts'
import { createPostgresLink } from './postgres-link.ts'

export const NOTES_CHANNEL = 'rollcall_notes'
const CALLS_WAITING_MAX = 10_000
const CHARACTERS_WAITING_MAX = 32 * 1024 * 1024
const CALLS_AT_ONCE = 500
const RETRY_MS = 250

export type NoteForwarder = {
  notes: BrokerNotes
  /** Sends what waits, for so long at most. */
  close(withinMs: number): Promise<void>
}

export function createNoteForwarder(options: {
  settings: PostgresSettings
  node: string
  version: string
  onFailed(error: unknown): void
}): NoteForwarder {
  const { settings, node, version } = options
  const link = createPostgresLink({ settings, name: `rollcall broker ${node} notes` })
  /** Numbers are of this process alone. */
  const source = `${node} ${randomUUID()}`
  let waiting: NoteCall[] = []
  let characters = 0
  let sent = 0
  let sending: Promise<void> | null = null
  let closed = false

  function note(call: keyof BrokerNotes, given: readonly unknown[]): void {
    if (waiting.length >= CALLS_WAITING_MAX || characters >= CHARACTERS_WAITING_MAX)
      throw new RegistryError('registry_busy', 'too many notes wait for the registry in PostgreSQL')
    const text = encodeArguments(given)
    waiting.push({ call, arguments: text })
    characters += text.length
    sending ??= sendAll().finally(() => {
      sending = null
    })
  }

  async function sendAll(): Promise<void> {
    // What is noted in one turn of the event loop goes together.
    await delay(0)
    let atOnce = CALLS_AT_ONCE
    while (waiting.length > 0) {
      const batch = waiting.slice(0, atOnce)
      const outcome = await sendUntilThere(batch)
      if (outcome === 'closed') return
      if (outcome === 'refused' && batch.length > 1) {
        atOnce = batch.length >> 1
        continue
      }
      if (outcome === 'there') {
        sent += batch.length
        atOnce = Math.min(atOnce * 2, CALLS_AT_ONCE)
      }
      waiting = waiting.slice(batch.length)
      characters -= batch.reduce((sum, { arguments: text }) => sum + text.length, 0)
    }
  }

  /** The same batch each time: notes that came since are not in what may be there already. One that is refused is not there. */
  async function sendUntilThere(batch: readonly NoteCall[]): Promise<'there' | 'refused' | 'closed'> {
    for (;;) {
      try {
        await send(batch)
        return 'there'
      } catch (error) {
        if (closed) return 'closed'
        options.onFailed(error)
        if (isOfRow(error)) return 'refused'
        await delay(RETRY_MS)
      }
    }
  }

  /** A batch whose answer was lost is sent again as it was: its numbers say whether it is there. */
  function send(batch: readonly NoteCall[]): Promise<unknown> {
    return link.ask(client =>
      client.query(sendSql, [
        ...[source, sent, sent + batch.length, node, version],
        batch.map(({ call }) => call),
        batch.map(({ arguments: text }) => text),
      ]),
    )
  }

  const verbs = noteCalls.map(call => [call, (...given: unknown[]) => note(call, given)])
  return {
    notes: Object.fromEntries(verbs) as BrokerNotes,
    async close(withinMs) {
      if (sending !== null) await Promise.race([sending, delay(withinMs, undefined, { ref: false })])
      closed = true
      link.close()
    },
  }
}

const sendSql = `
WITH source AS (
  INSERT INTO rollcall.note_sources AS known (source, last) VALUES ($1, $3::bigint)
  ON CONFLICT (source) DO UPDATE SET last = excluded.last WHERE known.last = $2::bigint
  RETURNING source
), written AS (
  INSERT INTO rollcall.broker_notes (node, version, call, arguments)
  SELECT $4, $5, given.call, given.arguments
  FROM source, unnest($6::text[], $7::text[]) WITH ORDINALITY AS given (call, arguments, place)
  ORDER BY given.place
)
SELECT pg_notify('${NOTES_CHANNEL}', '')`
