// What parent and worker processes say to each other. Types alone; every message is plain data, also as JSON.

import type { Stream } from '../fleet/delivery-tracker.ts'
import type { DeviceSpec } from '../fleet/device-state.ts'
import type { Findings } from '../fleet/worker-context.ts'
import type { Credentials } from '../links/session.ts'
import type { Expectation } from '../results/summary.ts'
import type { Tick } from '../results/tick.ts'
import type { Plan } from '../scenario/plan.ts'
import type { Broker } from '../target.ts'

/** Times are milliseconds on the monotonic clock of the parent's machine. */
export type ToWorker =
  /** `replays`: name and text of every file that payloads are lines of. */
  | {
      do: 'prepare'
      worker: number
      runId: string
      seed: number
      plan: Plan
      broker: Broker
      replays: [file: string, text: string][]
    }
  /** Answers `ask`: the machine's time, in answer to the question of that time. */
  | { do: 'tell'; asked: number; now: number }
  /** From an agent: how far the parent's clock is ahead of this machine's. */
  | { do: 'clock'; offsetMs: number }
  /** Parts of the fleet, some at a time. */
  | { do: 'add'; parts: DeviceSpec[] }
  | { do: 'start'; at: number }
  /** The expectation for these devices from now on; `answeredAt` is the time of the API's answer. */
  | {
      do: 'expect'
      devices: number[]
      expect: Expectation
      why: string
      action: number
      answeredAt: number | null
    }
  /** How things stand once the attempts of honest devices in progress have ended, after `patienceMs` at most. Answered with a `tick`, then `ready`. */
  | { do: 'look'; patienceMs: number }
  /** A new key and certificate; the device connects anew with it. */
  | { do: 'rekey'; device: number; credentials: Credentials }
  /** Devices stop publishing and reconnecting. Answered with `quiet` once nothing is in flight, or after `drainMs`. */
  | { do: 'quiet'; drainMs: number }
  /** What all workers sent, by clocks that differ by at most `clocksDifferMs`: gaps of subscribers are counted. Answered with a last `tick`, then `settled`. */
  | { do: 'settle'; streams: Stream[]; clocksDifferMs: number }
  /** All devices disconnect. Answered with `ended`. */
  | { do: 'end' }

export type FromWorker =
  /** `clockErrorMs`: the most by which its clock is not the machine's. */
  | { is: 'ready'; clockErrorMs?: number }
  /** What time it is on the machine, asked at that time of its own clock. Answered by the process that started the worker. */
  | { is: 'ask'; at: number }
  | { is: 'tick'; tick: Tick; findings: Findings }
  | { is: 'quiet'; streams: Stream[]; listens: boolean }
  | { is: 'settled'; ledgerOverflow: number }
  | { is: 'ended' }
  /** The worker cannot go on; it ends after this. */
  | { is: 'failed'; message: string }
