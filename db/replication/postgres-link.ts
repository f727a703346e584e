// One connection to PostgreSQL that is made again when it is needed after it broke. Questions go one after the other.
import { RegistryError } from '../registry-error.ts'
import {
  assertReplicated,
  connectPostgres,
  dropPostgres,
  type PostgresClient,
  type PostgresSettings,
  shownPostgres,
} from './postgres.ts'

export type PostgresLink = {
  /**
   * Runs the work on the connection. Where that fails in the middle, the connection is given up and the error is as it was; where none
   * can be made, nothing was sent: a RegistryError `registry_unreachable`.
   */
  ask<T>(work: (client: PostgresClient) => Promise<T>): Promise<T>
  close(): void
}

/** A question that is not answered within this fails. */
const ANSWER_MS = 5_000

export function createPostgresLink(options: {
  settings: PostgresSettings
  /** Shown by PostgreSQL as application_name. */
  name: string
  answerMs?: number
  /** Asked first on each connection. */
  prepare?(client: PostgresClient): Promise<unknown>
  /** Called when a connection that was there is no more. */
  onLost?(): void
}): PostgresLink {
  const { settings, name, answerMs = ANSWER_MS } = options
  let client: PostgresClient | null = null
  let last: Promise<unknown> = Promise.resolve()
  let closed = false

  function give(up: PostgresClient): void {
    if (client === up) {
      client = null
      options.onLost?.()
    }
    dropPostgres(up)
  }

  async function connected(): Promise<PostgresClient> {
    if (client !== null) return client
    try {
      let lost = false
      const fresh: PostgresClient = await connectPostgres(settings, {
        ...{ name, answerMs },
        lost: () => {
          lost = true
          if (client !== fresh) return
          client = null
          options.onLost?.()
        },
      })
      await options.prepare?.(fresh)
      if (closed || lost) {
        dropPostgres(fresh)
        throw new Error(closed ? 'closed' : 'the connection broke at once')
      }
      client = fresh
      return fresh
    } catch (error) {
      throw unreachable(error, settings)
    }
  }

  async function run<T>(work: (client: PostgresClient) => Promise<T>): Promise<T> {
    const on = await connected()
    try {
      const answer = await work(on)
      assertReplicated(on)
      return answer
    } catch (error) {
      give(on)
      throw error
    }
  }

  return {
    ask(work) {
      const answer = last.then(() => run(work))
      last = answer.catch(() => {})
      return answer
    },
    close() {
      closed = true
      if (client !== null) give(client)
    },
  }
}

/** What PostgreSQL or the way to it says, without what was asked. */
export function unreachable(error: unknown, settings: PostgresSettings): RegistryError {
  if (error instanceof RegistryError) return error
  const why = error instanceof Error ? error.message : String(error)
  return new RegistryError(
    'registry_unreachable',
    `the registry in PostgreSQL (${shownPostgres(settings)}) cannot be used: ${why}`,
    { cause: error },
  )
}
