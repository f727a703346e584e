// What an admission costs beside another checkout of this project, by turns in one run: CPU of each broker per full handshake, CONNECT
// and DISCONNECT. Run by hand: node bench/scenarios/other-tree.ts DIRECTORY [rounds] [connects in a round] [rollcall|bun]. Both run on
// the Node that runs this, or on Bun; each has a registry that it made itself. Both offer the classic groups, whatever they prefer.
import { join, resolve } from 'node:path'
import type { BenchFleet } from '../fleet.ts'
import type { BenchServer, ServerName } from '../servers.ts'
import { measureAdmission } from './admission.ts'
import { quantile } from './storm.ts'

const [directory, rounds = '15', connects = '500', name = 'rollcall'] = process.argv.slice(2)
if (directory === undefined) throw new Error('node bench/scenarios/other-tree.ts DIRECTORY')
const DEVICES = 500
const WARM = 1_500
/** Set for both; the other tree may not know it. */
const TLS_GROUPS = 'X25519:P-256'

type Tree = { fleet: BenchFleet; server: BenchServer; spent: number[] }
const trees: Tree[] = []
try {
  const other = await open(resolve(directory), {})
  const own = await open(new URL('../..', import.meta.url).pathname, {
    ROLLCALL_BROKER_TLS_GROUPS: TLS_GROUPS,
  })
  for (const { fleet, server } of trees) await measureAdmission(server, fleet, WARM)
  for (let round = 0; round < Number(rounds); round += 1)
    for (const tree of round % 2 === 0 ? trees : trees.toReversed())
      tree.spent.push(await measureAdmission(tree.server, tree.fleet, Number(connects)))
  const ratios = own.spent.map((micros, round) => micros / other.spent[round]!)
  for (const [name, values] of Object.entries({ 'other tree, µs': other.spent, 'this tree, µs': own.spent }))
    console.log(`${name}: ${spread(values, 0)}`)
  console.log(`this tree / other tree: ${spread(ratios, 3)}`)
} finally {
  for (const { fleet, server } of trees) {
    await server.stop()
    await fleet.close()
  }
}

async function open(root: string, env: NodeJS.ProcessEnv): Promise<Tree> {
  const { createFleet } = await import(join(root, 'bench/fleet.ts'))
  const { startServer } = await import(join(root, 'bench/servers.ts'))
  const fleet = await createFleet({ devices: DEVICES, backends: 0 })
  const tree: Tree = { fleet, server: await startServer(name as ServerName, fleet, { env }), spent: [] }
  trees.push(tree)
  return tree
}

/** Median, and the middle half. */
function spread(values: number[], digits: number): string {
  const sorted = values.toSorted((one, other) => one - other)
  const at = (part: number) => quantile(sorted, part).toFixed(digits)
  return `${at(0.5)} (${at(0.25)}–${at(0.75)})`
}
