// Starts a broker as a child process over a test roll, and asks it what it holds in memory.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { BrokerSettings } from '../../broker/settings/validation.ts'
import type { Roll } from './roll.ts'

export type ForkedBroker = {
  port: number
  pid: number
  /** Heap and buffers in use after a full collection, and the metrics then. */
  measure(): Promise<{ bytes: number; metrics: string }>
  /** Whether the process is still there. */
  alive(): boolean
  /** How many connections it holds. */
  sessions(): Promise<number>
  /** Sets the clock of a broker that was started with one, in ms since the epoch. */
  setClock(to: number): Promise<void>
  /** As a crash ends it. */
  kill(): Promise<void>
  close(): Promise<void>
}

/** `runtime` is the program that runs it, of JavaScript; that of the test where none is told. */
export async function forkBroker(
  { data }: Pick<Roll, 'data'>,
  {
    port = 0,
    settings = {},
    clock,
    runtime = process.execPath,
  }: { port?: number; settings?: Partial<BrokerSettings>; clock?: number; runtime?: string } = {},
): Promise<ForkedBroker> {
  const file = fileURLToPath(import.meta.resolve('./broker-process.ts'))
  const given = [
    data,
    String(port),
    JSON.stringify(settings),
    ...(clock === undefined ? [] : [String(clock)]),
  ]
  const child = fork(file, given, { execPath: runtime })
  const exited = once(child, 'exit')
  const ended = exited.then(([code]) =>
    Promise.reject(new Error(`the broker ended with ${code} before it listened`)),
  )
  const [ready] = (await Promise.race([once(child, 'message'), ended])) as [{ port: number }]
  return {
    port: ready.port,
    pid: child.pid ?? 0,
    async measure() {
      const answer = once(child, 'message')
      child.send('memory')
      return (await answer)[0] as { bytes: number; metrics: string }
    },
    alive: () => child.exitCode === null && child.signalCode === null,
    async sessions() {
      const answer = once(child, 'message')
      child.send('sessions')
      return ((await answer)[0] as { sessions: number }).sessions
    },
    async setClock(to) {
      const answer = once(child, 'message')
      child.send({ clock: to })
      await answer
    },
    async kill() {
      child.kill('SIGKILL')
      await exited
    },
    async close() {
      if (child.connected) child.disconnect()
      await exited
    },
  }
}
