// What an idle device over TLS takes of the simulator's memory: the slope of a worker's resident memory from 500 to 1,500 devices,
// eight seconds after the last of each, against one mosquitto that asks for certificates. Runtimes take turns.
// Run by hand: node bench/scenarios/simulator-memory.ts [--each] [--rounds N] [RUNTIME…]. With --each every device has a certificate of its own.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'

import type { Sample } from '../../device-sim/results/sample.ts'
import { createAuthority, usage } from '../../test/harness/authority.ts'
import { freePort } from '../../test/harness/free-port.ts'

const FEW = 500
const MORE = 1_000
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { each: { type: 'boolean', default: false }, rounds: { type: 'string', default: '2' } },
})
const runtimes = positionals.length === 0 ? ['node', 'bun'] : positionals
const scratch = mkdtempSync(join(tmpdir(), 'rollcall-bench-'))
const at = (name: string): string => join(scratch, name)

const port = await freePort()
const authority = await createAuthority()
const server = await authority.issue({ name: 'server', usages: [usage.serverAuth] })
const put = (name: string, text: string): string => {
  writeFileSync(at(name), text, { mode: 0o600 })
  return at(name)
}
const lines = [
  `listener ${port} 127.0.0.1`,
  'allow_anonymous true',
  'log_type none',
  'user root',
  `cafile ${put('ca.crt', authority.certificate)}`,
  `certfile ${put('server.crt', server.certificate)}`,
  `keyfile ${put('server.key', server.key)}`,
  'require_certificate true',
]
put('mosquitto.conf', lines.join('\n'))
const idle = (name: string, count: number) =>
  `  - { name: ${name}, count: ${count}, id: '${name}-\${number}', session: { keepAlive: 20m } }`
put(
  'idle.yaml',
  `
name: idle
workers: 1
groups:
${idle('few', FEW)}
${idle('more', MORE)}
stages:
  - { kind: ramp, rate: 50, groups: [few] }
  - { kind: steady, for: 8s, name: few }
  - { kind: ramp, rate: 50, groups: [more] }
  - { kind: steady, for: 8s, name: more }
`,
)
const identities = values.each
  ? ['--directory', await directory()]
  : ['--certificate', put('one.pem', pemOf(await authority.issue({ name: 'everybody' })))]
const broker = spawn('mosquitto', ['-c', at('mosquitto.conf')], { stdio: ['ignore', 'ignore', 'inherit'] })
try {
  for (let round = 0; round < Number(values.rounds); round += 1)
    for (const runtime of runtimes) await measure(runtime)
} finally {
  const gone = broker.exitCode === null ? once(broker, 'exit') : null
  broker.kill()
  await gone
  rmSync(scratch, { recursive: true, force: true })
}

async function measure(runtime: string): Promise<void> {
  const target = ['--broker', `mqtts://127.0.0.1:${port}`, '--ca', at('ca.crt'), ...identities]
  const args = [
    'sim',
    'run',
    at('idle.yaml'),
    ...target,
    '--samples',
    at('samples'),
    '--yes',
    '--runtime',
    runtime,
  ]
  const child = spawn(process.execPath, [resolve(import.meta.dirname, '../../cli/main.ts'), ...args], {
    cwd: scratch,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', text => {
    said += text
  })
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`${runtime}: exit code ${code}\n${said}`)
  const samples = readFileSync(at('samples'), 'utf8')
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as Sample)
  const last = (connected: number): Sample => {
    const found = samples.findLast(sample => sample.population.connected === connected)
    if (!found) throw new Error(`${runtime}: never were ${connected} devices connected`)
    return found
  }
  const [few, more] = [last(FEW).tool.rssBytes, last(FEW + MORE).tool.rssBytes]
  const cpu = samples.reduce((sum, { tool, seconds }) => sum + tool.cpuTotal * seconds, 0)
  console.log(
    `${runtime}: ${((more - few) / MORE / 1024).toFixed(1)} KiB a device, ${(more / 2 ** 20).toFixed(0)} MiB with ${FEW + MORE}, ${((1e6 * cpu) / (FEW + MORE)).toFixed(0)} µs CPU a device in all, load ${loadavg()[0]?.toFixed(1)}`,
  )
}

function pemOf({ key, certificate }: { key: string; certificate: string }): string {
  return `${key}\n${certificate}\n`
}

async function directory(): Promise<string> {
  mkdirSync(at('devices'))
  for (const [name, count] of Object.entries({ few: FEW, more: MORE }))
    for (let n = 1; n <= count; n += 1)
      put(`devices/${name}-${n}.pem`, pemOf(await authority.issue({ name: `${name}-${n}` })))
  return at('devices')
}
