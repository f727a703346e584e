// How the verbs of this process become part of the registry in PostgreSQL: by compare-and-set on its head. A group whose answer was lost
// is looked up before its verbs are answered.
import { randomUUID } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import type { GroupAgreement, GroupAt, Proposal } from '../open.ts'
import { RegistryError } from '../registry-error.ts'
import { type PostgresSettings, shownPostgres } from './postgres.ts'
import { isOfRow } from './postgres-answers.ts'
import { createPostgresLink, type PostgresLink, unreachable } from './postgres-link.ts'
import { type Group, outcomeOf, publishGroup, readHead } from './registry-rows.ts'
import type { Replica } from './replica.ts'
import type { ChangedRow, RowCapture } from './row-capture.ts'

/** How long a lost answer is asked for before the verbs are told that it is not known. */
const LOOK_UP_MS = 15_000
const LOOK_AGAIN_MS = 100
const ANSWER_MS = 10_000

export type Agreement = GroupAgreement & {
  /** Called by a verb that writes what brokers noted: the notes end with what it writes. */
  endNotes(numbers: readonly string[]): void
  close(): void
}

export function createGroupAgreement(options: {
  settings: PostgresSettings
  name: string
  replica: Replica
  capture: RowCapture
  /** Of tests: a process that is killed in between. */
  published?: (() => void) | undefined
}): Agreement {
  const { settings, name, replica, capture } = options
  const link = createPostgresLink({ settings, name, answerMs: ANSWER_MS })
  let notes: string[] = []

  async function settle(proposal: Proposal, refused: boolean): Promise<'agreed' | 'outdated'> {
    const { base } = proposal
    const rows = proposal.changes as readonly ChangedRow[]
    if (rows.length === 0 && proposal.notes.length === 0) {
      if (!refused || (await isLatest(base))) return 'agreed'
      await replica.catchUp()
      return 'outdated'
    }
    const id = randomUUID()
    const group = { id, writer: name, registryId: replica.registryId(), base, rows, notes: proposal.notes }
    const sequence = await publish(link, group, settings)
    if (sequence === null) {
      await replica.catchUp()
      return 'outdated'
    }
    options.published?.()
    try {
      await replica.apply(base, { sequence, id }, rows)
    } catch (error) {
      // Not `registry_full` and the like: those say that nothing was written.
      throw new RegistryError(
        'registry_unreachable',
        `the change was made, but its replica here cannot be written: ${(error as Error).message}`,
        { cause: error },
      )
    }
    return 'agreed'
  }

  async function isLatest(base: GroupAt): Promise<boolean> {
    const head = await link.ask(readHead).catch(error => {
      throw unreachable(error, settings)
    })
    return head.group.sequence === base.sequence && head.group.id === base.id
  }

  return {
    begin() {
      notes = []
      capture.begin()
    },
    proposal: () => ({ base: replica.group(), changes: capture.changes(), notes }),
    settle,
    endNotes: numbers => void notes.push(...numbers),
    close: link.close,
  }
}

/** The group's sequence, or null where it is not part of the registry and will never be. */
async function publish(link: PostgresLink, group: Group, settings: PostgresSettings): Promise<number | null> {
  try {
    return await link.ask(client => publishGroup(client, group))
  } catch (error) {
    // No connection could be made, so that nothing was sent; or the statement was refused.
    if (error instanceof RegistryError) throw error
    if ((error as { severity?: string }).severity === 'ERROR') throw refused(error, settings)
  }
  const end = performance.now() + LOOK_UP_MS
  for (;;) {
    try {
      return await link.ask(client => outcomeOf(client, group))
    } catch (error) {
      if (performance.now() >= end)
        throw new RegistryError(
          'registry_unreachable',
          `${unreachable(error, settings).message}. Whether the change was made is not known yet: look, or ask again with the same Idempotency-Key`,
          { cause: error },
        )
      await setTimeout(LOOK_AGAIN_MS)
    }
  }
}

function refused(error: unknown, settings: PostgresSettings): RegistryError {
  if (!isOfRow(error)) return unreachable(error, settings)
  return new RegistryError(
    'registry_refused',
    `PostgreSQL (${shownPostgres(settings)}) refuses a row of this change: ${(error as unknown as Error).message}`,
    { cause: error },
  )
}
