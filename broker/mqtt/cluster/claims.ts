// Claims of sessions, gathered while PostgreSQL answers the ones before: a statement, and a wait for its disk, for all that came meanwhile.

type Waiting<Claim> = { clientId: string; resolve(claim: Claim): void; reject(error: unknown): void }

const AT_ONCE = 500

/**
 * Gives a function that claims one session. `claim` claims some, and gives what became of each: where it rejects although PostgreSQL
 * answered, each is claimed by itself, for one may be at fault.
 */
export function createClaims<Claim>(parts: {
  claim(clientIds: readonly string[]): Promise<ReadonlyMap<string, Claim>>
  isAnswer(error: unknown): boolean
}): (clientId: string) => Promise<Claim> {
  let waiting: Waiting<Claim>[] = []
  let isRunning = false

  async function claimTogether(batch: readonly Waiting<Claim>[]): Promise<void> {
    try {
      const claims = await parts.claim(batch.map(({ clientId }) => clientId))
      for (const { clientId, resolve } of batch) resolve(claims.get(clientId)!)
    } catch (error) {
      if (batch.length > 1 && parts.isAnswer(error)) for (const one of batch) await claimTogether([one])
      else for (const { reject } of batch) reject(error)
    }
  }

  async function run(): Promise<void> {
    isRunning = true
    while (waiting.length > 0) {
      const batch = waiting.slice(0, AT_ONCE)
      waiting = waiting.slice(AT_ONCE)
      await claimTogether(batch)
    }
    isRunning = false
  }

  return clientId =>
    new Promise((resolve, reject) => {
      waiting.push({ clientId, resolve, reject })
      if (!isRunning) void run()
    })
}
