// A start of several trees or built packages, by turns in one run: seconds from `rollcall up` on a warm data directory to the first
// admitted device. Run by hand: node bench/scenarios/other-starts.ts ROUNDS FILE… with each FILE a cli/main.ts or dist/cli/main.js.
import { loadavg } from 'node:os'
import { resolve } from 'node:path'
import { prepareStarts, type Startable } from './start.ts'
import { quantile } from './storm.ts'

const [rounds, ...files] = process.argv.slice(2)
if (files.length === 0) throw new Error('node bench/scenarios/other-starts.ts ROUNDS FILE…')
const programs: { file: string; startable: Startable; took: number[] }[] = []
try {
  for (const file of files) programs.push({ file, startable: await prepareStarts(resolve(file)), took: [] })
  for (const { startable } of programs) await startable.start() // leaves compiled code behind
  for (let round = 0; round < Number(rounds); round += 1)
    for (const { startable, took } of round % 2 === 0 ? programs : programs.toReversed())
      took.push(await startable.start())
  const first = programs[0]!
  for (const { file, took } of programs) {
    const ratios = took.map((seconds, round) => seconds / first.took[round]!)
    console.log(`${file}: ${spread(took)} s, ${spread(ratios)} of the first`)
  }
  console.log(`load ${loadavg()[0]!.toFixed(0)}`)
} finally {
  for (const { startable } of programs) startable.close()
}

/** Median, and the middle half. */
function spread(values: number[]): string {
  const sorted = values.toSorted((one, other) => one - other)
  const at = (part: number) => quantile(sorted, part).toFixed(2)
  return `${at(0.5)} (${at(0.25)}–${at(0.75)})`
}
