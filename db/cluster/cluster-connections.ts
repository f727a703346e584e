// Connections of one broker node to PostgreSQL: made when they are needed, made anew where one broke, each asked one thing at a time.

import {
  assertReplicated,
  connectPostgres,
  dropPostgres,
  type PostgresClient,
  type PostgresSettings,
} from '../replication/postgres.ts'
import { isAnswer } from '../replication/postgres-answers.ts'

const ANSWER_MS = 10_000

export type ClusterConnections = {
  /** Runs the work on a connection that nobody else uses meanwhile. Rejects where none can be made, or with what the work throws. */
  ask<Result>(work: (client: PostgresClient) => Promise<Result>): Promise<Result>
  close(): Promise<void>
}

/** So many at most, each opened when the others are busy. */
export function createClusterConnections(
  settings: PostgresSettings,
  name: string,
  max: number,
): ClusterConnections {
  const idle: PostgresClient[] = []
  const waiting: (() => void)[] = []
  const broken = new WeakSet<PostgresClient>()
  const open = new Set<PostgresClient>()
  let busy = 0
  let isClosed = false

  async function take(): Promise<PostgresClient> {
    for (;;) {
      if (isClosed) throw new Error('the connections to PostgreSQL are closed')
      const client = idle.pop()
      if (client !== undefined) {
        if (broken.has(client)) continue
        return client
      }
      const made: PostgresClient = await connectPostgres(settings, {
        name,
        answerMs: ANSWER_MS,
        lost: () => {
          broken.add(made)
          open.delete(made)
        },
      })
      open.add(made)
      return made
    }
  }

  return {
    async ask(work) {
      while (busy >= max) await new Promise<void>(resolve => waiting.push(resolve))
      busy += 1
      let client: PostgresClient | null = null
      try {
        client = await take()
        const result = await work(client)
        assertReplicated(client)
        idle.push(client)
        return result
      } catch (error) {
        if (client !== null) {
          // PostgreSQL has answered with an error: the connection is as good as before. Else it is not known what it still says.
          if (isAnswer(error)) idle.push(client)
          else drop(client)
        }
        throw error
      } finally {
        busy -= 1
        waiting.shift()?.()
      }
    },
    async close() {
      isClosed = true
      await Promise.allSettled([...open].map(client => client.end()))
    },
  }

  function drop(client: PostgresClient): void {
    broken.add(client)
    open.delete(client)
    dropPostgres(client)
  }
}
