// What an admission costs beside another checkout of this project, by turns in one run: CPU of each broker per handshake, CONNECT and
// DISCONNECT, full and resumed. By hand: node bench/scenarios/other-tree.ts DIRECTORY [rounds] [connects in a round] [rollcall|bun] [warm].
// Both run on the Node that runs this, or on Bun, and have a registry of their own; `warm` admissions of each come before the rounds.
import { loadavg } from 'node:os'
import { join, resolve } from 'node:path'
import type { BenchFleet } from '../fleet.ts'
import type { BenchServer, ServerName } from '../servers.ts'
import { measureAdmission, type Sessions, warmUp } from './admission.ts'
import { quantile } from './storm.ts'

const [directory, rounds = '15', connects = '500', name = 'rollcall', warm = '12000'] = process.argv.slice(2)
if (directory === undefined) throw new Error('node bench/scenarios/other-tree.ts DIRECTORY')
const DEVICES = 500

type Tree = {
  fleet: BenchFleet
  server: BenchServer
  sessions: Sessions
  full: number[]
  resumed: number[]
}
const trees: Tree[] = []
try {
  const other = await open(resolve(directory))
  const own = await open(new URL('../..', import.meta.url).pathname)
  for (const { fleet, server, sessions } of trees) await warmUp(server, fleet, sessions, Number(warm))
  for (let round = 0; round < Number(rounds); round += 1)
    for (const { server, fleet, sessions, full, resumed } of round % 2 === 0 ? trees : trees.toReversed()) {
      full.push(await measureAdmission(server, fleet, Number(connects)))
      resumed.push(await measureAdmission(server, fleet, Number(connects), { sessions }))
    }
  for (const kind of ['full', 'resumed'] as const) {
    const ratios = own[kind].map((micros, round) => micros / other[kind][round]!)
    console.log(
      `${kind}: other tree ${spread(other[kind], 0)} µs, this tree ${spread(own[kind], 0)} µs, this / other ${spread(ratios, 3)}`,
    )
  }
  console.log(`load ${loadavg()[0]!.toFixed(1)}`)
} finally {
  for (const { fleet, server } of trees) {
    await server.stop()
    await fleet.close()
  }
}

async function open(root: string): Promise<Tree> {
  const { createFleet } = await import(join(root, 'bench/fleet.ts'))
  const { startServer } = await import(join(root, 'bench/servers.ts'))
  const fleet = await createFleet({ devices: DEVICES, backends: 0 })
  const server = await startServer(name as ServerName, fleet)
  const tree: Tree = { fleet, server, sessions: new Map(), full: [], resumed: [] }
  trees.push(tree)
  return tree
}

/** Median, and the middle half. */
function spread(values: number[], digits: number): string {
  const sorted = values.toSorted((one, other) => one - other)
  const at = (part: number) => quantile(sorted, part).toFixed(digits)
  return `${at(0.5)} (${at(0.25)}–${at(0.75)})`
}
