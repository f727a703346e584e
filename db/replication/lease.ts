// Which provisioning process does the work that one alone does: the one that holds an advisory lock, on a connection of its own. A
// connection that breaks, or does not answer in time, ends the work; PostgreSQL gives the lock to another one then.
import { setTimeout as delay } from 'node:timers/promises'
import type { PostgresSettings } from './postgres.ts'
import { createPostgresLink } from './postgres-link.ts'

/** "ROLLJOBS" in ASCII. */
const LEASE_LOCK = '5930198763178836563'
/** "ROLLINIT": held by the one process that may make CAs. */
const FOUNDING_LOCK = '5930198763162097236'
const ASK_MS = 1_000
/** A holder that is not answered within this has lost the lease. */
const ANSWER_MS = 3_000
const WAIT_MS = 60_000

export type Lease = {
  /** Whether this process is the one. */
  held(): boolean
  stop(): Promise<void>
}

export function startLease(options: {
  settings: PostgresSettings
  name: string
  onChanged(held: boolean): void
}): Lease {
  let held = false
  let stopped = false
  const stop = Promise.withResolvers<void>()
  const set = (now: boolean) => {
    if (held === now) return
    held = now
    options.onChanged(now)
  }
  // The lock is the connection's: on a new one it has to be taken again.
  const link = createPostgresLink({
    ...{ settings: options.settings, name: `${options.name} lease`, answerMs: ANSWER_MS },
    onLost: () => set(false),
  })

  async function keep(): Promise<void> {
    while (!stopped) {
      try {
        const taken = await link.ask(async client => {
          const { rows } = await client.query<{ taken: boolean }>(
            held ? 'SELECT true AS taken' : 'SELECT pg_try_advisory_lock($1) AS taken',
            held ? [] : [LEASE_LOCK],
          )
          return rows[0]?.taken === true
        })
        if (!stopped) set(taken)
      } catch {
        set(false)
      }
      await Promise.race([delay(ASK_MS, undefined, { ref: false }), stop.promise])
    }
  }

  const keeping = keep()
  return {
    held: () => held,
    async stop() {
      stopped = true
      stop.resolve()
      link.close()
      await keeping
      set(false)
    },
  }
}

/** Runs work that one process at a time may do, such as making the first CA. Throws where another one takes too long. */
export async function foundAlone<T>(
  options: { settings: PostgresSettings; name: string },
  work: () => Promise<T>,
): Promise<T> {
  const link = createPostgresLink({ ...options, name: `${options.name} start` })
  try {
    const end = performance.now() + WAIT_MS
    while (
      !(await link.ask(
        async client =>
          (
            await client.query('SELECT pg_try_advisory_lock($1) AS taken', [FOUNDING_LOCK])
          ).rows[0]?.taken,
      ))
    ) {
      if (performance.now() >= end)
        throw new Error('another provisioning service is starting on this registry and does not get done')
      await delay(100)
    }
    return await work()
  } finally {
    link.close()
  }
}
