// Keeps a replica in step with the registry in PostgreSQL: asks after every commit that it hears of, and by itself. Knows when it last
// heard, by the monotonic clock.

import type { GroupAt } from '../open.ts'
import { RegistryError } from '../registry-error.ts'
import { firstSync } from './first-sync.ts'
import type { PostgresClient, PostgresSettings } from './postgres.ts'
import { createPostgresLink, unreachable } from './postgres-link.ts'
import { preparePostgresSchema } from './postgres-schema.ts'
import {
  GROUPS_KEPT,
  groupIdAt,
  type Head,
  inSnapshot,
  REGISTRY_CHANNEL,
  readChanges,
  rowsAfter,
} from './registry-rows.ts'
import { createRepeatedLook } from './repeated-look.ts'
import { openReplicaFile } from './replica-file.ts'
import { prepareRowApplication } from './row-application.ts'
import type { ChangedRow } from './row-capture.ts'

export type Replica = {
  registryId(): string
  /** The last group that is in the file. */
  group(): GroupAt
  sequence(): number
  /** How long ago the last question began that was answered, in ms. Infinite before the first. */
  ageMs(): number
  /** Why the last question came to nothing; null where it was answered and what it brought is in the file. */
  trouble(): Error | null
  /** Asks now. @throws {RegistryError} where PostgreSQL does not answer or the rows cannot be written */
  catchUp(): Promise<void>
  /** Writes a group that this process published on `base`, unless it came another way already. */
  apply(base: GroupAt, group: GroupAt, rows: readonly ChangedRow[]): Promise<void>
  /** Whether no group was ever published. */
  isNew(): boolean
  stop(): Promise<void>
}

export type ReplicaOptions = {
  settings: PostgresSettings
  file: string
  /** As PostgreSQL shows the process. */
  name: string
  /** Whether tables may be made in PostgreSQL. */
  writer?: boolean
  /** Tables that it is without. */
  without?: readonly string[]
  /** How often PostgreSQL is asked where nothing is heard. */
  everyMs?: number
  onFailed(error: unknown): void
  onCaughtUp?(): void
}

const EVERY_MS = 1_000
const RETRY_MS = 250
const NONE: GroupAt = { sequence: 0, id: null }

/** Opens the replica and brings it in step before it resolves; then follows. Throws where PostgreSQL cannot be used. */
export async function startReplica(options: ReplicaOptions): Promise<Replica> {
  const { settings, everyMs = EVERY_MS } = options
  const without = options.without ?? []
  await firstSync({ ...options, without })
  const replica = openReplicaFile(options.file, without)
  const { sqlite } = replica
  const application = prepareRowApplication(sqlite)
  let heardAt = Number.NEGATIVE_INFINITY
  let registryId = ''
  let isNew = false
  let trouble: Error | null = null
  const following = createRepeatedLook({
    async look() {
      await catchUp()
      options.onCaughtUp?.()
      return false
    },
    ...{ everyMs, retryMs: RETRY_MS, onFailed: options.onFailed },
  })
  let writing: Promise<unknown> = Promise.resolve()

  const link = createPostgresLink({
    ...{ settings, name: options.name },
    async prepare(client: PostgresClient) {
      await preparePostgresSchema(client, options.writer === true)
      client.on('notification', following.wake)
      await client.query(`LISTEN ${REGISTRY_CHANNEL}`)
    },
  })

  /** One writer of rows at a time: a large answer is written in many turns of the event loop, in one transaction. */
  function alone<T>(work: () => T | Promise<T>): Promise<T> {
    const done = writing.then(work)
    writing = done.catch(() => {})
    return done
  }

  const groupAt = () => replica.position()?.group ?? NONE
  const sequenceAt = () => groupAt().sequence

  const write = sqlite.transaction((group: GroupAt, rows: readonly ChangedRow[]) => {
    for (const row of rows) application.removeRow(row)
    application.insertRows(rows)
    replica.setPosition({ registryId, group })
  }).immediate

  /**
   * Throws where the file is a replica of another registry, or has changes that this one has not: rows would be mixed up. `after` is what the
   * file had when the question began, `known` the ID of that group there.
   */
  function assertSame({ registryId: found, group }: Head, after: GroupAt, known: string | null): void {
    const { sequence } = group
    if ((replica.position()?.registryId ?? found) !== found)
      throw new RegistryError(
        'registry_replaced',
        `${options.file} is a replica of another registry than the one in PostgreSQL: name another directory, or remove the file`,
      )
    const isForgotten = known === null && after.sequence <= sequence - GROUPS_KEPT
    if (after.sequence > sequence || (known !== after.id && !isForgotten))
      throw new RegistryError(
        'registry_replaced',
        `the registry in PostgreSQL (group ${sequence}) does not hold what the replica ${options.file} does (group ${after.sequence}): changes that were answered are lost there. If a backup was restored, or a standby that was behind was promoted, stop every process, remove its replica, and start it again`,
      )
    registryId = found
    isNew = sequence === 0
  }

  async function ask(client: PostgresClient): Promise<void> {
    const began = performance.now()
    const after = groupAt()
    const { head, known, rows } = await readChanges(client, after.sequence, without)
    assertSame(head, after, known)
    const behind = head.group.sequence - after.sequence
    if (rows === null || behind >= GROUPS_KEPT || after.sequence < head.completeFrom) await askForMuch(client)
    else if (behind > 0)
      await alone(() => {
        // Own groups may have been written since the question.
        if (head.group.sequence > sequenceAt()) write(head.group, rows)
      })
    heardAt = began
  }

  async function askForMuch(client: PostgresClient): Promise<void> {
    await inSnapshot(client, head =>
      alone(async () => {
        const reached = groupAt()
        const isBehind = reached.sequence <= head.group.sequence
        if (isBehind) assertSame(head, reached, await groupIdAt(client, reached.sequence))
        if (reached.sequence >= head.group.sequence) return
        const isFar = head.group.sequence - reached.sequence >= GROUPS_KEPT
        const after = isFar || reached.sequence < head.completeFrom ? 0 : reached.sequence
        sqlite.exec('BEGIN IMMEDIATE')
        try {
          if (after === 0) application.removeAll()
          else
            for await (const rows of rowsAfter(client, after, without))
              for (const row of rows) application.removeRow(row)
          for await (const rows of rowsAfter(client, after, without)) application.insertRows(rows)
          replica.setPosition({ registryId, group: head.group })
          sqlite.exec('COMMIT')
        } finally {
          if (sqlite.inTransaction) sqlite.exec('ROLLBACK')
        }
      }),
    )
  }

  const catchUp = () =>
    link.ask(ask).then(
      () => {
        trouble = null
      },
      error => {
        trouble = isSqlite(error) ? error : unreachable(error, settings)
        throw trouble
      },
    )

  try {
    await catchUp()
  } catch (error) {
    link.close()
    replica.close()
    throw error
  }
  following.start()
  return {
    registryId: () => registryId,
    group: groupAt,
    sequence: sequenceAt,
    ageMs: () => performance.now() - heardAt,
    trouble: () => trouble,
    catchUp,
    apply: (base, group, rows) =>
      alone(() => {
        if (sequenceAt() === base.sequence) write(group, rows)
      }),
    isNew: () => isNew,
    async stop() {
      const stopped = following.stop()
      link.close()
      await stopped
      await writing
      replica.close()
    },
  }
}

function isSqlite(error: unknown): error is Error {
  return String((error as { code?: unknown }).code).startsWith('SQLITE_')
}
