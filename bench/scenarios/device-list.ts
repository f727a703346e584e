// What `rollcall device list` of a large roll costs: CPU of the services and of the command, and how long it takes.
// Run by hand: node bench/scenarios/device-list.ts [devices] [rounds] [ENTRY ...], each ENTRY a `cli/main.ts` or built
// `dist/cli/main.js`; several take turns.
import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { closeRegistry, openForWriting } from '../../db/index.ts'
import { cpuMicros } from '../cpu.ts'
import { fillRoll } from '../large-roll.ts'

const own = join(import.meta.dirname, '../../cli/main.ts')
const [devices = '50000', rounds = '7', ...entries] = process.argv.slice(2)
const DAY_MS = 86_400_000

type Service = {
  entry: string
  child: ChildProcess
  data: string
  api: string
  took: Round[]
  digest: string
}
type Round = { wall: number; services: number; command: number }

const scratch = mkdtempSync(join(tmpdir(), 'rollcall-bench-'))
const services: Service[] = []
try {
  const filled = join(scratch, 'filled')
  await stop((await up(own, filled)).child)
  await fill(filled)
  for (const [at, entry] of (entries.length === 0 ? [own] : entries).entries()) {
    const data = join(scratch, `data-${at}`)
    cpSync(filled, data, { recursive: true })
    services.push(await up(resolve(entry), data))
  }
  for (let round = 0; round < Number(rounds); round += 1)
    for (const service of services) service.took.push(await list(service))
  console.table(
    services.map(({ entry, took, digest }) => ({
      entry,
      'services, ms CPU': spread(took.map(round => round.services)),
      'command, ms CPU': spread(took.map(round => round.command)),
      'ms by the clock': spread(took.map(round => round.wall)),
      output: digest,
    })),
  )
} finally {
  for (const { child } of services) await stop(child)
  rmSync(scratch, { recursive: true, force: true })
}

async function up(entry: string, data: string): Promise<Service> {
  const ports = ['--mqtts-port', '0', '--api-port', '0', '--status-port', '0', '--admin-port', '0']
  const child = spawn(process.execPath, [entry, 'up', '--data', data, ...ports, '-o', 'json'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`rollcall up ended with exit code ${code}`)
  })
  const [line] = await Promise.race([once(createInterface({ input: child.stdout }), 'line'), ended])
  ended.catch(() => {})
  return { entry, child, data, api: JSON.parse(line).api, took: [], digest: '' }
}

async function stop(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  await ended
}

/** Four of five devices have connected; one in twenty has three groups. */
async function fill(data: string): Promise<void> {
  const registry = openForWriting(join(data, 'registry.db'))
  const { sqlite } = registry
  const issuer = sqlite.prepare("SELECT id FROM issuers WHERE kind = 'issuing'").pluck().get()
  await fillRoll(registry, issuer as string, Number(devices))
  const at = Date.now() - DAY_MS
  sqlite
    .prepare(
      `UPDATE last_seen SET seen_at = ?, connected_at = ?, disconnected_at = ?, reason = 'client_disconnect',
         address = '192.0.2.1', fingerprint = ?, protocol_level = 5, bytes_in = 100, bytes_out = 100
       WHERE substr(device_id, -1) NOT IN ('0', '4')`,
    )
    .run(at, at - DAY_MS, at, 'f'.repeat(64))
  for (const name of ['alpha', 'zinc'])
    sqlite
      .prepare(
        "INSERT INTO device_groups SELECT id, ? FROM devices WHERE substr(id, -2) IN ('01', '21', '41', '61', '81')",
      )
      .run(name)
  await closeRegistry(registry)
}

async function list(service: Service): Promise<Round> {
  const before = { services: cpuMicros(service.child.pid!), command: endedMicros(), at: performance.now() }
  const command = spawn(
    process.execPath,
    [service.entry, 'device', 'list', '--api', service.api, '--data', service.data],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const digest = createHash('sha256')
  command.stdout.on('data', chunk => digest.update(chunk))
  const [code] = await once(command, 'close')
  if (code !== 0) throw new Error(`rollcall device list ended with exit code ${code}`)
  service.digest = digest.digest('hex').slice(0, 8)
  return {
    wall: performance.now() - before.at,
    services: (cpuMicros(service.child.pid!) - before.services) / 1_000,
    command: (endedMicros() - before.command) / 1_000,
  }
}

/** CPU of all child processes that ended, to 10 ms. */
function endedMicros(): number {
  const stat = readFileSync('/proc/self/stat', 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[13]) + Number(fields[14])) * 10_000
}

function spread(took: readonly number[]): string {
  const sorted = took.toSorted((a, b) => a - b)
  const [least, median, most] = [0, sorted.length >> 1, sorted.length - 1].map(at => Math.round(sorted[at]!))
  return `${median} (${least} to ${most})`
}
