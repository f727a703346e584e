// What gates in processes of their own cost beside one process, and what two cores admit with them, by CPU and by turns in one run. By hand:
// node bench/scenarios/gates.ts [rollcall|bun] [rounds] [connects in a round] [admissions before] [gates: 1,2] [DIRECTORY of another tree].
import { loadavg } from 'node:os'
import { join, resolve } from 'node:path'
import { processTree, threadMicros } from '../cpu.ts'
import type { BenchFleet } from '../fleet.ts'
import type { BenchServer, ServerName } from '../servers.ts'
import { measureAdmission, type Sessions, warmUp } from './admission.ts'
import { quantile } from './storm.ts'

const [name = 'rollcall', rounds = '25', connects = '200', warm = '10000', list = '1,2', directory] =
  process.argv.slice(2)
const DEVICES = 300
const counts = [0, ...list.split(',').map(Number)]
const own = new URL('../..', import.meta.url).pathname
const trees = { 'this tree': own, ...(directory && { 'other tree': resolve(directory) }) }

/** CPU of an admission in µs: of all threads of all processes, of the engine's process, and of its first thread, on which its loop runs. */
type Spent = { all: number; engine: number; loop: number }
type Measured = {
  tree: string
  gates: number
  fleet: BenchFleet
  server: BenchServer
  sessions: Sessions
} & Record<'full' | 'resumed', Spent[]>

const measured: Measured[] = []
try {
  // The trees next to each other: what disturbs the machine comes and goes.
  for (const gates of counts) for (const [tree, root] of Object.entries(trees)) await open(tree, root, gates)
  for (const { server, fleet, sessions } of measured) await warmUp(server, fleet, sessions, Number(warm))
  for (let round = 0; round < Number(rounds); round += 1) {
    const turns = round % 2 === 0 ? measured : measured.toReversed()
    for (const one of turns) one.full.push(await spentBy(one, {}))
    for (const one of turns) one.resumed.push(await spentBy(one, { sessions: one.sessions }))
  }
  report()
  console.log(`load ${loadavg()[0]!.toFixed(1)}`)
} finally {
  for (const { server, fleet } of measured) {
    await server.stop()
    await fleet.close()
  }
}

function report(): void {
  for (const kind of ['full', 'resumed'] as const)
    for (const one of measured) {
      const alone = measured.find(({ tree, gates }) => tree === one.tree && gates === 0)!
      const before = measured.find(({ tree, gates }) => tree !== one.tree && gates === one.gates)
      const figures = [
        `${kind}, ${one.tree}, gates ${one.gates}: ${spread(one[kind].map(({ all }) => all))} µs`,
        `engine ${spread(one[kind].map(({ engine }) => engine))} µs`,
        `${ratios(one[kind], alone[kind], 'all')} × one process`,
      ]
      if (one.gates === 2)
        figures.push(`two cores admit ${spread(onTwoCores(one[kind], alone[kind]), 2)} × as many`)
      if (before !== undefined && one.tree === 'this tree')
        figures.push(
          `beside the other tree ${ratios(one[kind], before[kind], 'all')}, engine ${ratios(one[kind], before[kind], 'engine')}`,
        )
      console.log(figures.join('; '))
    }
}

async function open(tree: string, root: string, gates: number): Promise<void> {
  const { createFleet } = await import(join(root, 'bench/fleet.ts'))
  const { startServer } = await import(join(root, 'bench/servers.ts'))
  const fleet = await createFleet({ devices: DEVICES, backends: 0 })
  const env = { ROLLCALL_BROKER_GATES: String(gates) }
  const server = await startServer(name as ServerName, fleet, { env })
  measured.push({ tree, gates, fleet, server, sessions: new Map(), full: [], resumed: [] })
}

async function spentBy({ server, fleet }: Measured, coming: { sessions?: Sessions }): Promise<Spent> {
  const count = Number(connects)
  const before = now(server.pid)
  await measureAdmission(server, fleet, count, coming)
  const after = now(server.pid)
  const of = (what: keyof Spent) => (after[what] - before[what]) / count
  return { all: of('all'), engine: of('engine'), loop: of('loop') }
}

function now(pid: number): Spent {
  const [loop = 0, ...others] = threadMicros(pid)
  const all = processTree(pid).flatMap(threadMicros)
  return { all: sum(all), engine: loop + sum(others), loop }
}

function sum(values: number[]): number {
  return values.reduce((one, other) => one + other, 0)
}

/**
 * One process admits as many as the CPU of its loop allows, whatever cores there are. Two gates and their engine share two cores: twice what all of
 * them together take, and no more than the engine's loop.
 */
function onTwoCores(withGates: Spent[], alone: Spent[]): number[] {
  return withGates.map(({ all, loop }, round) => Math.min(2 / all, 1 / loop) * alone[round]!.loop)
}

function ratios(some: Spent[], others: Spent[], what: keyof Spent): string {
  return spread(
    some.map((spent, round) => spent[what] / others[round]![what]),
    2,
  )
}

/** Median, and the middle half. */
function spread(values: number[], digits = 0): string {
  const sorted = values.toSorted((one, other) => one - other)
  const at = (part: number) => quantile(sorted, part).toFixed(digits)
  return `${at(0.5)} (${at(0.25)}–${at(0.75)})`
}
