// Debian's mosquitto as a broker, on a port that is free: where somebody else takes that first, on another one.
import { until } from '../cli/running.ts'
import { freePort } from '../harness/free-port.ts'
import { type Running, start } from './mosquitto.ts'

const TRIES_MAX = 5
/** Longer than a test at length may take. */
const DEADLINE_MS = 4 * 3_600_000

export type MosquittoServer = AsyncDisposable & { port: number; server: Running }

/** `configure` gives the configuration file for a port; `answers` says whether it serves there. */
export async function startMosquitto(
  configure: (port: number) => string,
  answers: (port: number) => Promise<boolean>,
  program = 'mosquitto',
): Promise<MosquittoServer> {
  for (let tries = 1; ; tries += 1) {
    const port = await freePort()
    const server = start(program, ['-c', configure(port)], undefined, DEADLINE_MS)
    let ended = false
    void server.ended.finally(() => {
      ended = true
    })
    await until(async () => ended || (await answers(port)), `${program} answers`)
    if (!ended) return { port, server, [Symbol.asyncDispose]: async () => void (await server.stop()) }
    if (tries === TRIES_MAX) throw new Error(`${program} does not start: ${server.output()}`)
  }
}
