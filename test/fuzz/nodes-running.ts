// The nodes, the bus and the database of the fuzz over several nodes: each may be away for a while, and a node that has ended is started again.
import { setTimeout as delay } from 'node:timers/promises'
import type { NodeProcess, Nodes } from '../broker/cluster/nodes.ts'
import { type NatsServer, startNats } from '../harness/nats.ts'

const NAMES = ['one', 'two', 'three'] as const
const LINES = 40

/** `onLost` hears of each node that has ended, before it is there again. */
export async function startNodes(nodes: Nodes, onLost: (at: number) => void) {
  const running: NodeProcess[] = []
  const gone = new Set<NodeProcess>()
  let nats: NatsServer | null = nodes.nats
  let isDatabaseUp = true
  let revived = 0

  async function startBus(): Promise<void> {
    nats ??= await startNats('', nodes.nats.port)
  }

  async function startNode(at: number): Promise<void> {
    await startBus() // a node does not start without it
    const node = await nodes.fork(NAMES[at]!)
    running[at] = node
    void node.ended.then(() => gone.add(node))
  }

  const isCalm = () => nats !== null && isDatabaseUp

  async function stopBus(): Promise<void> {
    // The first one is of the nodes, with its directory.
    if (nats === nodes.nats) await nats.stop()
    else await nats?.[Symbol.asyncDispose]()
    nats = null
  }

  async function kill(at: number): Promise<void> {
    await running[at]!.kill()
    onLost(at)
    await startNode(at)
  }

  async function killDatabase(awayMs: number): Promise<void> {
    await nodes.postgres.kill()
    isDatabaseUp = false
    await delay(awayMs)
    await nodes.postgres.start()
    isDatabaseUp = true
  }

  for (const at of NAMES.keys()) await startNode(at)
  return {
    ...{ running, isCalm, startBus, stopBus },
    /** Steps of the fuzz, each with its weight. `told` hears what one is about. */
    faults: (
      random: () => number,
      told: (what: string) => void,
    ): Record<string, [weight: number, step: () => Promise<void>]> => ({
      'kill a node': [
        1,
        async () => {
          const at = Math.floor(random() * NAMES.length)
          told(`${at}`)
          await kill(at)
        },
      ],
      'stop the bus': [1, stopBus],
      'start the bus': [3, startBus],
      'kill the database': [
        1,
        async () => {
          if (isCalm()) await killDatabase(random() * 300)
        },
      ],
    }),
    /** As a supervisor would: on a machine that is busy a node may be silent for too long, is declared ended, and ends. */
    async revive(): Promise<void> {
      for (const [at, node] of running.entries())
        if (gone.has(node)) {
          revived += 1
          onLost(at)
          await startNode(at)
        }
    },
    revived: () => revived,
    /** What the nodes have logged at last. */
    logs: () =>
      running.flatMap(({ name, log }) =>
        log()
          .trim()
          .split('\n')
          .slice(-LINES)
          .map(line => `${name}: ${line}`),
      ),
  }
}
