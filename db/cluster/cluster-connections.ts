// Connections of one broker node to PostgreSQL: made when they are needed, made anew where one broke, each asked one thing at a time.
import {
  connectPostgres,
  dropPostgres,
  type PostgresClient,
  type PostgresSettings,
} from '../replication/postgres.ts'

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

/**
 * Whether PostgreSQL itself refused it, and would again (PostgreSQL 15, Appendix A). What passes: lost connections (08), read-only after a
 * failover (25006), serialization and deadlocks (40), a full disk, memory and connections (53), locks (55), shutdowns and cancelled statements
 * (57), the operating system's errors (58).
 */
export function isAnswer(error: unknown): error is { code: string } {
  const code = (error as { code?: unknown }).code
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && !/^(08|25006|40|53|55|57|58)/.test(code)
}
