// What a message of QoS 0 costs the simulator itself, here and in other checkouts of this project, by turns in one run against one
// mosquitto. Run by hand: node bench/scenarios/simulator-messages.ts [--tls] [--rate N] [--rounds N] [--seconds N] [--runtime bun]
// [DIRECTORY[@bun]…]. With --tls each device has a certificate of its own; --runtime is of this checkout, @bun of another.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'

import type { Sample } from '../../device-sim/results/sample.ts'
import { createAuthority, usage } from '../../test/harness/authority.ts'
import { freePort } from '../../test/harness/free-port.ts'
import { quantile } from './storm.ts'

const DEVICES = 2_000
/** Until V8 has compiled what runs all the time. */
const WARM_SECONDS = 10
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    tls: { type: 'boolean', default: false },
    rate: { type: 'string', default: '8000' },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '12' },
    runtime: { type: 'string', default: 'node' },
  },
})
const everyMs = Math.round((DEVICES * 1_000) / Number(values.rate))
const scratch = mkdtempSync(join(tmpdir(), 'rollcall-bench-'))
const inScratch = (name: string): string => join(scratch, name)
type Tree = { name: string; directory: string; runtime: string }
const trees: Tree[] = [...positionals, `${resolve(import.meta.dirname, '../..')}@${values.runtime}`].map(
  name => {
    const [directory = '', runtime = 'node'] = name.split('@')
    return { name, directory: resolve(directory), runtime }
  },
)

const port = await freePort()
const target = values.tls ? await certificates() : ['--broker', `mqtt://127.0.0.1:${port}`]
const tls = ['cafile', 'certfile', 'keyfile'].map(
  (name, at) => `${name} ${inScratch(['ca.crt', 'server.crt', 'server.key'][at] ?? '')}`,
)
const config = [`listener ${port} 127.0.0.1`, 'allow_anonymous true', 'log_type none', 'user root']
writeFileSync(
  inScratch('mosquitto.conf'),
  [...config, ...(values.tls ? [...tls, 'require_certificate true'] : [])].join('\n'),
)
writeFileSync(
  inScratch('messages.yaml'),
  `
name: messages
seed: 7
groups:
  - name: devices
    count: ${DEVICES}
    publish: [{ topic: 'devices/\${device}/telemetry', every: ${everyMs}ms, jitter: 10%, qos: 0 }]
stages:
  - { kind: ramp, rate: ${values.tls ? 100 : 400} }
  - { kind: steady, for: ${WARM_SECONDS + Number(values.seconds)}s }
`,
)
const broker = spawn('mosquitto', ['-c', inScratch('mosquitto.conf')], {
  stdio: ['ignore', 'ignore', 'inherit'],
})
const spent: number[][] = trees.map(() => [])
try {
  for (let round = 0; round < Number(values.rounds); round += 1)
    for (const [at, tree] of trees.entries()) spent[at]?.push(await measure(tree))
} finally {
  const gone = broker.exitCode === null ? once(broker, 'exit') : null
  broker.kill()
  await gone
  rmSync(scratch, { recursive: true, force: true })
}
const own = spent.at(-1) ?? []
for (const [at, { name }] of trees.entries()) {
  const ratios = own.map((micros, round) => micros / (spent[at]?.[round] ?? Number.NaN))
  console.log(
    `${name}: ${middle(spent[at] ?? []).toFixed(1)} µs a message; this tree / it: ${middle(ratios).toFixed(2)}`,
  )
}

/** CPU of the worker for a message, in µs, all devices connected. */
async function measure({ name, directory, runtime }: Tree): Promise<number> {
  const samples = inScratch('samples.ndjson')
  const args = [
    join(directory, 'cli/main.ts'),
    'sim',
    'run',
    inScratch('messages.yaml'),
    ...target,
    '--samples',
    samples,
    '--yes',
    // Earlier checkouts do not know the flag.
    ...(runtime === 'node' ? [] : ['--runtime', runtime]),
  ]
  const child = spawn(process.execPath, args, { cwd: scratch, stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', text => {
    said += text
  })
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`${name}: exit code ${code}\n${said}`)
  const steady = readFileSync(samples, 'utf8')
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as Sample)
    .filter(
      ({ stage, seconds, population }) =>
        stage === 'steady' && seconds > 0.5 && population.connected === DEVICES,
    )
    .slice(-Number(values.seconds) - 1, -1)
  const sum = (of: (sample: Sample) => number): number =>
    steady.reduce((total, sample) => total + of(sample), 0)
  const messages = sum(({ traffic }) => traffic.qos0.sent)
  const micros = (sum(({ tool, seconds }) => tool.cpuTotal * seconds) / messages) * 1e6
  const late = quantile(
    steady.map(({ tool }) => tool.lateMs.p99 ?? 0).toSorted((one, other) => one - other),
    0.5,
  )
  const perSecond = Math.round(messages / sum(({ seconds }) => seconds))
  console.log(
    `${name}: ${micros.toFixed(1)} µs, ${perSecond}/s, late p99 ${late} ms, load ${loadavg()[0]?.toFixed(1)}`,
  )
  return micros
}

async function certificates(): Promise<string[]> {
  const authority = await createAuthority()
  mkdirSync(inScratch('devices'))
  for (let n = 1; n <= DEVICES; n += 1) {
    const { certificate, key } = await authority.issue({ name: `device-${n}` })
    writeFileSync(inScratch(`devices/device-${n}.pem`), `${key}\n${certificate}\n`)
  }
  const server = await authority.issue({ name: 'server', usages: [usage.serverAuth] })
  writeFileSync(inScratch('ca.crt'), authority.certificate)
  writeFileSync(inScratch('server.crt'), server.certificate)
  writeFileSync(inScratch('server.key'), server.key)
  return [
    '--broker',
    `mqtts://127.0.0.1:${port}`,
    '--ca',
    inScratch('ca.crt'),
    '--directory',
    inScratch('devices'),
  ]
}

function middle(numbers: number[]): number {
  return quantile(
    numbers.toSorted((one, other) => one - other),
    0.5,
  )
}
