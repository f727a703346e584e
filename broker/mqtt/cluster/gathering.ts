// What is asked for one client each, gathered while PostgreSQL answers what was asked before: a statement, and a wait for its disk, for all
// that came meanwhile.

type Waiting<Answer> = { clientId: string; resolve(answer: Answer): void; reject(error: unknown): void }

/**
 * Gives a function that asks for one client. `ask` asks for some, and gives the answer for each: where it rejects with an error that may be
 * of one of them, each is asked for by itself.
 */
export function createGathering<Answer>(parts: {
  ask(clientIds: readonly string[]): Promise<ReadonlyMap<string, Answer>>
  isOfOne(error: unknown): boolean
  atOnce: number
}): (clientId: string) => Promise<Answer> {
  let waiting: Waiting<Answer>[] = []
  let isRunning = false

  async function askTogether(batch: readonly Waiting<Answer>[]): Promise<void> {
    try {
      const answers = await parts.ask(batch.map(({ clientId }) => clientId))
      for (const { clientId, resolve } of batch) resolve(answers.get(clientId)!)
    } catch (error) {
      if (batch.length > 1 && parts.isOfOne(error)) for (const one of batch) await askTogether([one])
      else for (const { reject } of batch) reject(error)
    }
  }

  async function run(): Promise<void> {
    isRunning = true
    while (waiting.length > 0) {
      const batch = waiting.slice(0, parts.atOnce)
      waiting = waiting.slice(parts.atOnce)
      await askTogether(batch)
    }
    isRunning = false
  }

  return clientId =>
    new Promise((resolve, reject) => {
      waiting.push({ clientId, resolve, reject })
      if (!isRunning) void run()
    })
}
