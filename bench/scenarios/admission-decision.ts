// What the decision about a certificate at admission costs beside another checkout of this project: registry look-up and decision,
// by turns in one process, in CPU time. Run by hand: node bench/scenarios/admission-decision.ts DIRECTORY [rounds]
// DIRECTORY has node_modules and a registry of its own making.
import { join, resolve } from 'node:path'
import Sqlite from 'better-sqlite3'
import type { createFleet } from '../fleet.ts'
import { quantile } from './storm.ts'

const [directory, rounds = '61'] = process.argv.slice(2)
if (directory === undefined) throw new Error('node bench/scenarios/admission-decision.ts DIRECTORY [rounds]')
const DEVICES = 500
/** In a round. */
const JUDGEMENTS = 10_000

type Tree = {
  judge(fingerprint: string): void
  fingerprints: string[]
  micros: number[]
  close(): Promise<void>
}
const other = await open(resolve(directory))
const own = await open(new URL('../..', import.meta.url).pathname)
try {
  for (let warm = 0; warm < 10; warm += 1) [own, other].forEach(measure)
  for (const tree of [own, other]) tree.micros.length = 0
  for (let round = 0; round < Number(rounds); round += 1)
    for (const tree of round % 2 === 0 ? [own, other] : [other, own]) measure(tree)
  const ratios = own.micros.map((micros, round) => micros / other.micros[round]!)
  console.log(`this tree, µs: ${spread(own.micros, 2)}`)
  console.log(`other tree, µs: ${spread(other.micros, 2)}`)
  console.log(`this tree / other tree: ${spread(ratios, 3)}`)
} finally {
  await own.close()
  await other.close()
}

function measure({ judge, fingerprints, micros }: Tree): void {
  const before = process.cpuUsage()
  for (let index = 0; index < JUDGEMENTS; index += 1) judge(fingerprints[index % fingerprints.length]!)
  const { user, system } = process.cpuUsage(before)
  micros.push((user + system) / JUDGEMENTS)
}

async function open(root: string): Promise<Tree> {
  const fleetOf: typeof createFleet = (await import(join(root, 'bench/fleet.ts'))).createFleet
  const { prepareAdmissionLookup } = await import(join(root, 'db/admission-lookup.ts'))
  const { decideAdmission } = await import(join(root, 'admission/decide.ts'))
  const fleet = await fleetOf({ devices: DEVICES, backends: 0 })
  const sqlite = new Sqlite(join(fleet.data, 'registry.db'), { readonly: true })
  const lookup = prepareAdmissionLookup(sqlite)
  return {
    fingerprints: fleet.devices.map(({ fingerprint }) => fingerprint),
    judge(fingerprint) {
      const input = { peer: { fingerprint, chain: 'verified' }, record: lookup(fingerprint) }
      const { admitted } = decideAdmission({ ...input, now: Date.now(), pq: 'accept' })
      if (!admitted) throw new Error('a device of the roll was refused')
    },
    micros: [],
    async close() {
      sqlite.close()
      await fleet.close()
    },
  }
}

/** Median, and the middle half. */
function spread(values: readonly number[], digits: number): string {
  const sorted = values.toSorted((one, other) => one - other)
  const at = (part: number) => quantile(sorted, part).toFixed(digits)
  return `${at(0.5)} (${at(0.25)}–${at(0.75)})`
}
