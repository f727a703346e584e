// `npm run soak`: a fleet's life beside a running system for `--minutes`, and whether memory, descriptors and stores stay flat. The
// first 40 % warm up; memory is judged from five minutes on. `--broker-runtime bun` runs the broker on Bun, `--json FILE` keeps every
// sample. Ends with 1 where something grew or went wrong.
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { anyPorts, scratch, startSystem } from '../../test/e2e/system.ts'
import { type Counts, live } from './fleet-activity.ts'
import { readSample, type Sample, trendsOf } from './samples.ts'

const EVERY_MS = 1_000
const WARM_UP = 0.4
/** In less, what was collected last decides. */
const JUDGED_MINUTES = 5
const MIB = 1_048_576

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    gates: { type: 'string', default: '1' },
    'broker-runtime': { type: 'string', default: 'node' },
    json: { type: 'string' },
  },
})
const minutes = Number(values.minutes)
if (!(minutes > 0 && minutes <= 7 * 24 * 60)) {
  process.stderr.write(`--minutes ${values.minutes}: a number above 0 is needed\n`)
  process.exit(2)
}

const world = scratch()
const flags = [...anyPorts, '--gates', values.gates, '--broker-runtime', values['broker-runtime']]
const system = await startSystem(world.at('data'), { flags })
const counts: Counts = { visits: 0, messages: 0, queued: 0, renewals: 0, revocations: 0, policyChanges: 0 }
const stop = new AbortController()
const samples: Sample[] = []
const began = performance.now()
const seconds = () => (performance.now() - began) / 1_000
let failure: unknown = null
const life = live(system, world.path, counts, stop.signal).catch(error => {
  failure = error
})
while (seconds() < minutes * 60 && failure === null) {
  await new Promise(resolve => setTimeout(resolve, EVERY_MS))
  samples.push(readSample(seconds(), (await system.admin('/metrics')).text, system.data))
  if (process.stderr.isTTY) process.stderr.write(`${Math.round(seconds())} of ${minutes * 60} s\r`)
}
stop.abort()
await life
const code = await system.end()
world[Symbol.dispose]()

const judged = samples.filter(({ second }) => second >= minutes * 60 * WARM_UP)
const trends = trendsOf(samples, minutes * 60 * WARM_UP)
print()
if (values.json !== undefined)
  writeFileSync(values.json, `${JSON.stringify({ at: new Date(), minutes, counts, trends, samples })}\n`)
const isFlat = trends.every(({ flat, what }) => flat || (what !== 'descriptors' && minutes < JUDGED_MINUTES))
const passed = failure === null && code === 0 && judged.length > 1 && isFlat
process.stdout.write(passed ? '\npassed\n' : `\nFAILED${failure === null ? '' : `: ${String(failure)}`}\n`)
process.exit(passed ? 0 : 1)

function print(): void {
  const write = (text: string) => process.stdout.write(`${text}\n`)
  write(
    Object.entries(counts)
      .map(([what, count]) => `${what} ${count}`)
      .join(', '),
  )
  write('')
  write('process                 what          level      growth  flat')
  for (const { process: name, what, level, growth, flat } of trends) {
    const shown = what === 'descriptors' ? level.toFixed(0) : `${(level / MIB).toFixed(1)} MiB`
    const cells = [
      name.padEnd(22),
      what.padEnd(12),
      shown.padStart(10),
      `${(growth * 100).toFixed(1)} %`.padStart(9),
    ]
    write(`${cells.join('  ')}  ${flat ? 'yes' : 'NO'}`)
  }
  if (minutes < JUDGED_MINUTES) write(`memory is not judged below ${JUDGED_MINUTES} minutes`)
  write('')
  for (const name of Object.keys(samples[0]?.processes ?? {})) {
    const lags = judged.map(({ processes }) => processes[name]?.lag ?? 0)
    write(`${name.padEnd(22)}  event loop late by ${Math.max(0, ...lags).toFixed(0)} ms at most`)
  }
  const [first, last] = [judged[0]?.stores ?? {}, judged.at(-1)?.stores ?? {}]
  for (const [name, bytes] of Object.entries(last)) {
    const before = ((first[name] ?? 0) / MIB).toFixed(1)
    if (bytes > 0) write(`${name.padEnd(22)}  ${before} → ${(bytes / MIB).toFixed(1)} MiB`)
  }
}
