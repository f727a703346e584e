// Writes what brokers noted into the registry: by the holder of the lease, in order, each once. A note ends in the transaction that
// writes its rows.
import { type BrokerNotes, createBrokerNotes } from '../broker-notes.ts'
import type { Registry } from '../open.ts'
import { asRegistryError, isRefusedChange, isRegistryUnavailable } from '../registry-error.ts'
import { transact } from '../transact.ts'
import { runCall } from './note-calls.ts'
import { NOTES_CHANNEL } from './note-forwarder.ts'
import type { PostgresSettings } from './postgres.ts'
import { createPostgresLink } from './postgres-link.ts'
import { createRepeatedLook } from './repeated-look.ts'

const NOTES_AT_ONCE = 500
const LOOK_MS = 1_000
const RETRY_MS = 100

type Note = { number: string; version: string; call: string; arguments: string }

export function startNoteRunner(options: {
  settings: PostgresSettings
  name: string
  registry: Registry
  endNotes(numbers: readonly string[]): void
  /** Whether this process holds the lease. */
  leads(): boolean
  /** A note could not be written, and is dropped; or none could be read, and they wait. */
  onFailed(error: unknown): void
}): { stop(): Promise<void> } {
  const { registry, leads } = options
  const looking = createRepeatedLook({
    look,
    ...{ everyMs: LOOK_MS, retryMs: RETRY_MS, onFailed: options.onFailed },
  })
  const link = createPostgresLink({
    ...{ settings: options.settings, name: `${options.name} notes` },
    async prepare(client) {
      client.on('notification', looking.wake)
      await client.query(`LISTEN ${NOTES_CHANNEL}`)
    },
  })
  /** One for each version of brokers: they note it. */
  const writers = new Map<string, BrokerNotes>()
  const writerOf = (version: string) => {
    const writer = writers.get(version) ?? createBrokerNotes(registry, version)
    writers.set(version, writer)
    return writer
  }

  /** Halved while PostgreSQL refuses a row that a note leads to, until it is alone. */
  let atOnce = NOTES_AT_ONCE

  /** Gives whether there may be more. */
  async function look(): Promise<boolean> {
    const { rows } = await link.ask(client =>
      client.query<Note>(
        'SELECT number, version, call, arguments FROM rollcall.broker_notes ORDER BY number LIMIT $1',
        [atOnce],
      ),
    )
    if (rows.length === 0 || !leads()) return false
    const isFull = rows.length === atOnce
    try {
      if (!(await end(rows, write))) return true
      atOnce = Math.min(atOnce * 2, NOTES_AT_ONCE)
      return isFull
    } catch (error) {
      if (!isRefusedChange(error)) throw error
      if (rows.length > 1) {
        atOnce = rows.length >> 1
        return true
      }
      options.onFailed(error)
      await end(rows, () => {})
      return true
    }
  }

  /** The notes end with what they lead to. False where others may have written them since: they are read again. */
  function end(notes: readonly Note[], work: (note: Note) => void): Promise<boolean> {
    let tried = false
    return transact(
      registry,
      async () => {
        if (tried) return false
        tried = true
        for (const note of notes) work(note)
        options.endNotes(notes.map(({ number }) => number))
        return true
      },
      'urgent',
    )
  }

  /** One that fails for itself holds up no other; each is whole or not at all. */
  function write({ version, call, arguments: text }: Note): void {
    try {
      runCall(writerOf(version), call, text)
    } catch (error) {
      if (isRegistryUnavailable(error)) throw error
      options.onFailed(asRegistryError(error))
    }
  }

  looking.start()
  return {
    async stop() {
      const stopped = looking.stop()
      link.close()
      await stopped
    },
  }
}
