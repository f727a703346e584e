// Starts a broker as a child process over a test roll, and asks it what it holds in memory.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Roll } from './roll.ts'

export type ForkedBroker = {
  port: number
  /** Heap and buffers in use after a full collection, and the metrics then. */
  measure(): Promise<{ bytes: number; metrics: string }>
  /** Whether the process is still there. */
  alive(): boolean
  close(): Promise<void>
}

export async function forkBroker(roll: Roll): Promise<ForkedBroker> {
  const child = fork(fileURLToPath(import.meta.resolve('./broker-process.ts')), [roll.data])
  const exited = once(child, 'exit')
  const [{ port }] = (await once(child, 'message')) as [{ port: number }]
  return {
    port,
    async measure() {
      const answer = once(child, 'message')
      child.send('memory')
      return (await answer)[0] as { bytes: number; metrics: string }
    },
    alive: () => child.exitCode === null && child.signalCode === null,
    async close() {
      if (child.connected) child.disconnect()
      await exited
    },
  }
}
