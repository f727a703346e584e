// The workers as the parent sees them: started, given their devices and orders, ended. The death of a worker is reported,
// and the others go on. Does not know where they run and what devices do.
import { RunFailed } from '../failure.ts'
import type { Stream } from '../fleet/delivery-tracker.ts'
import type { DeviceSpec } from '../fleet/device-state.ts'
import type { Findings } from '../fleet/worker-context.ts'
import type { Tick } from '../results/tick.ts'
import type { Channel, WorkerSlot } from './channel.ts'
import type { FromWorker, ToWorker } from './protocol.ts'

export type Pool = {
  size: number
  /** Hands every worker its devices. @throws RunFailed where one cannot. */
  addDevices(
    prepare: Omit<Extract<ToWorker, { do: 'prepare' }>, 'do' | 'worker'>,
    parts: readonly DeviceSpec[],
  ): Promise<void>
  tell(message: ToWorker): void
  /** Every worker says how things stand, once no honest device is in the middle of an attempt; after `patienceMs` anyway. */
  look(patienceMs: number): Promise<void>
  /** Stops messages; returns the streams once no message is in flight. */
  quiet(drainMs: number): Promise<void>
  /** Counts what subscribers lack; `clocksDifferMs` is the most between two machines. @returns pairs that the ledgers had no room for. */
  settle(clocksDifferMs: number): Promise<number>
  end(): Promise<void>
  /** Kills the remaining workers. */
  close(): void
}

type PoolListener = {
  tick(worker: number, tick: Tick, findings: Findings): void
  died(worker: number, how: string): void
}

type Worker = {
  channel: Channel
  alive: boolean
  gone: PromiseWithResolvers<void>
  streams: Stream[]
  listens: boolean
  waiting: ((answer: FromWorker | null) => void)[]
}

const PARTS_AT_ONCE = 500
const ANSWER_DEADLINE_MS = 60_000

export function createPool(slots: readonly WorkerSlot[], listener: PoolListener): Pool {
  const size = slots.length
  let ending = false
  const workers = slots.map(startWorker)

  function startWorker(place: WorkerSlot, index: number): Worker {
    const channel = place.open({
      message(message) {
        if (message.is === 'tick') return listener.tick(index, message.tick, message.findings)
        worker.waiting.shift()?.(message)
      },
      ended(how) {
        worker.alive = false
        for (const answer of worker.waiting.splice(0)) answer(null)
        worker.gone.resolve()
        if (!ending) listener.died(index, how)
      },
    })
    const worker: Worker = {
      channel,
      alive: true,
      gone: Promise.withResolvers(),
      streams: [],
      listens: false,
      waiting: [],
    }
    return worker
  }

  function send(worker: Worker, message: ToWorker): void {
    if (worker.alive) worker.channel.send(message)
  }

  /** Null where the worker is gone or says nothing for a minute. */
  function ask(worker: Worker, message: ToWorker): Promise<FromWorker | null> {
    if (!worker.alive) return Promise.resolve(null)
    return new Promise(resolve => {
      const overdue = setTimeout(() => resolve(null), ANSWER_DEADLINE_MS)
      worker.waiting.push(answer => {
        clearTimeout(overdue)
        resolve(answer)
      })
      send(worker, message)
    })
  }

  let clockErrorMs = 0

  async function mustBeReady(worker: Worker, message: ToWorker): Promise<void> {
    const answer = await ask(worker, message)
    if (answer?.is === 'ready') {
      clockErrorMs = Math.max(clockErrorMs, answer.clockErrorMs ?? 0)
      return
    }
    const why = answer?.is === 'failed' ? answer.message : 'a worker ended'
    throw new RunFailed(`the run cannot start: ${why}`)
  }

  return {
    size,
    async addDevices(prepare, parts) {
      await Promise.all(
        workers.map(async (worker, index) => {
          await mustBeReady(worker, { do: 'prepare', worker: index, ...prepare })
          const own = parts.filter(part => part.index % size === index)
          for (let from = 0; from < own.length; from += PARTS_AT_ONCE) {
            await mustBeReady(worker, { do: 'add', parts: own.slice(from, from + PARTS_AT_ONCE) })
          }
        }),
      )
    },
    tell(message) {
      for (const worker of workers) send(worker, message)
    },
    async look(patienceMs) {
      await Promise.all(workers.map(worker => ask(worker, { do: 'look', patienceMs })))
    },
    async quiet(drainMs) {
      await Promise.all(
        workers.map(async worker => {
          const answer = await ask(worker, { do: 'quiet', drainMs })
          if (answer?.is !== 'quiet') return
          worker.streams = answer.streams
          worker.listens = answer.listens
        }),
      )
    },
    async settle(clocksDifferMs) {
      const streams = workers.flatMap(worker => worker.streams)
      const overflows = await Promise.all(
        workers.map(async worker => {
          const own = worker.listens ? streams : []
          const answer = await ask(worker, {
            do: 'settle',
            streams: own,
            clocksDifferMs: clocksDifferMs + 2 * clockErrorMs,
          })
          return answer?.is === 'settled' ? answer.ledgerOverflow : 0
        }),
      )
      return overflows.reduce((sum, overflow) => sum + overflow, 0)
    },
    async end() {
      ending = true
      await Promise.all(
        workers.map(async worker => {
          await ask(worker, { do: 'end' })
          const force = setTimeout(() => worker.channel.kill(), 5_000)
          await worker.gone.promise
          clearTimeout(force)
        }),
      )
    },
    close() {
      ending = true
      for (const worker of workers) if (worker.alive) worker.channel.kill()
    },
  }
}
