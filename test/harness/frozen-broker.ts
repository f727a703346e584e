// A broker in a process of its own whose clock stands still until a test moves it, and which may stop or be killed in between.
import { type ForkedBroker, forkBroker } from './fork.ts'
import type { Roll } from './roll.ts'

/** What happens to the broker between two moments of a test. */
export const ends = ['runs on', 'is restarted', 'is killed'] as const
export type End = (typeof ends)[number]

export type FrozenBroker = {
  /** As clients are told where it listens: it moves to another port with every life. */
  broker: ForkedBroker
  roll: Roll
  now(): number
  /** Lets time pass. */
  pass(ms: number): Promise<void>
  /** Lets the broker end as told, and begin again at the same moment. */
  end(how: End): Promise<void>
  close(): Promise<void>
}

export async function startFrozenBroker(roll: Roll): Promise<FrozenBroker> {
  let clock = Math.floor(Date.now() / 1_000) * 1_000
  const frozen: FrozenBroker = {
    broker: await forkBroker(roll, { clock }),
    roll,
    now: () => clock,
    async pass(ms) {
      clock += ms
      await frozen.broker.setClock(clock)
    },
    async end(how) {
      if (how === 'runs on') return
      if (how === 'is killed') await frozen.broker.kill()
      else await frozen.broker.close()
      frozen.broker = await forkBroker(roll, { clock })
    },
    close: () => frozen.broker.close(),
  }
  return frozen
}
