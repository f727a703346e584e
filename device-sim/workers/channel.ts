// How the parent reaches a worker, wherever that runs: a process of this machine, or of an agent's. Types alone.
import type { FromWorker, ToWorker } from './protocol.ts'

export type ChannelListener = {
  message(message: FromWorker): void
  /** Once, when the worker or the way to it is gone. */
  ended(how: string): void
}

export type Channel = { send(message: ToWorker): void; kill(): void }

/** `name` is for people: `worker 2`, or `agent 10.0.0.2:7420, worker 1`. */
export type WorkerSlot = { name: string; open(listener: ChannelListener): Channel }
