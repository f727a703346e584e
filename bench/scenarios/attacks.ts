// What one hostile device costs the others: the round trip of an honest one, beside a fleet at work, with an attack and without it, by
// turns in one run. Run by hand: node bench/scenarios/attacks.ts [rounds] [part of an attack's name]
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { constants, setPriority, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'
import { settings } from '../../broker/settings/numbers.ts'
import { createAuthority } from '../../test/harness/authority.ts'
import type { Order } from '../attacks/attacker.ts'
import { attacks } from '../attacks/kinds.ts'
import { cpuDuring } from '../cpu.ts'
import { type BenchDevice, createFleet } from '../fleet.ts'
import { openClient, publishPacket, subscribePacket } from '../mqtt-client.ts'
import { watchRoundTrips } from '../round-trips.ts'
import { nodeFlags, startServer } from '../servers.ts'
import { quantile } from './storm.ts'

const rounds = Number(process.argv[2] ?? 20)
const only = process.argv[3]
const PHASE_MS = 1_500
const SETTLE_MS = 300
const BEGIN_MS = 1_500
/** Of the probe. */
const HELD_EVERY_MS = 500
const ASK_EVERY_MS = 5
/** The fleet at work: so many devices, each with a message of 128 bytes to itself so often. */
const WORKERS = 40
const WORK_EVERY_MS = 100
const TARGET = 2
const payload = Buffer.alloc(128, 'x')
const entry = new URL('../attacks/attacker.ts', import.meta.url).pathname
const probe = new URL('../attacks/held.ts', import.meta.url).pathname
const scratch = mkdtempSync(join(tmpdir(), 'rollcall-bench-attacks-'))
/** A while with or without the attack: round trips in ms, sorted; the longest hold of the loop in ms of CPU; CPU of the broker in µs. */
type Phase = { took: number[]; held: number; cpu: number }
const sorted = (values: number[]) => values.toSorted((one, other) => one - other)
const median = (values: number[]) => quantile(sorted(values), 0.5)
/** The median over phases, so that what disturbs the machine for a moment counts for one of them alone. */
const of = (phases: Phase[], part: number) => median(phases.map(({ took }) => quantile(took, part)))
const p99 = (phases: Phase[]) => of(phases, 0.99)
const longest = (phases: Phase[]) => Math.max(...phases.map(({ held }) => held))

const stranger = await (await createAuthority()).issue({ name: 'stranger' })
const table: Record<string, string | number>[] = []
try {
  for (const attack of Object.keys(attacks)) {
    if (only !== undefined && !attack.includes(only)) continue
    table.push(await measure(attack))
  }
  console.table(table)
} finally {
  rmSync(scratch, { recursive: true, force: true })
}

/** A broker and a fleet of their own for each attack, with the limits there are by default. */
async function measure(attack: string): Promise<Record<string, string | number>> {
  const fleet = await createFleet({ devices: WORKERS + 2, backends: 0 })
  const [honest, hostile, ...workers] = fleet.devices as [BenchDevice, BenchDevice, ...BenchDevice[]]
  const env = {
    ROLLCALL_BROKER_ADDRESS_RATE_PER_SECOND: String(settings.addressRatePerSecond.default),
    ROLLCALL_BROKER_ADDRESS_BURST: String(settings.addressBurst.default),
    BENCH_HELD_FILE: join(scratch, `${table.length}.held`),
  }
  const server = await startServer('rollcall', fleet, { env, execArgv: [...nodeFlags, '--import', probe] })
  preferBoth(server.pid)
  const links: TLSSocket[] = []
  let attacker: ChildProcess | null = null
  const open = async (device: BenchDevice) => {
    const link = await openClient(server.port, fleet.root, device)
    link.on('error', () => {})
    links.push(link)
    return link
  }
  try {
    const work: NodeJS.Timeout[] = []
    for (const worker of workers) {
      const link = await open(worker)
      const topic = `devices/${worker.id}/x`
      link.write(subscribePacket(topic, 0))
      link.resume()
      work.push(setInterval(() => link.write(publishPacket(topic, payload, 0)), WORK_EVERY_MS))
    }
    const asking = { id: honest.id, qos: 0, everyMs: ASK_EVERY_MS, payload } as const
    const session = watchRoundTrips(await open(honest), asking)
    const child = fork(entry, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    attacker = child
    await once(child, 'spawn')
    const order = { attack, port: server.port, root: fleet.root, id: hostile.id, device: hostile, stranger }
    child.send(order satisfies Order)
    await pause(BEGIN_MS)
    const quiet: Phase[] = []
    const under: Phase[] = []
    const phase = async (): Promise<Phase> => {
      await pause(SETTLE_MS)
      session.took()
      const began = Date.now()
      const cpu = await cpuDuring(server.pid, () => pause(PHASE_MS).then(() => {}))
      return { took: sorted(session.took()), held: heldSince(env.BENCH_HELD_FILE, began), cpu }
    }
    let done = 0
    for (let round = 0; round < rounds; round += 1) {
      child.kill('SIGSTOP')
      quiet.push(await phase())
      child.kill('SIGCONT')
      await asked(child)
      under.push(await phase())
      done += await asked(child)
    }
    for (const timer of work) clearInterval(timer)
    session.stop()
    const ratio = p99(under) / p99(quiet)
    const shown = (phases: Phase[]) => `${of(phases, 0.5).toFixed(2)} / ${p99(phases).toFixed(2)}`
    return {
      attack,
      'quiet p50 / p99, ms': shown(quiet),
      'attacked p50 / p99, ms': shown(under),
      'p99, ×': `${ratio.toFixed(2)}${ratio > TARGET ? ' MISSED' : ''}`,
      'loop held, ms of CPU': `${longest(quiet)} / ${longest(under)}`,
      'done /s': Math.round((done / rounds / (PHASE_MS + SETTLE_MS)) * 1_000),
      'broker, % of a core': Math.round(median(under.map(({ cpu }) => cpu)) / PHASE_MS / 10),
    }
  } finally {
    attacker?.kill('SIGKILL')
    for (const link of links) link.destroy()
    await server.stop()
    await fleet.close()
  }
}

/** What is measured goes before whatever else the machine does; left as it is where that is not permitted. */
function preferBoth(pid: number): void {
  for (const one of [pid, 0])
    try {
      setPriority(one, constants.priority.PRIORITY_HIGHEST)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ERR_SYSTEM_ERROR') throw error
    }
}

/** The probe tells of half a second at once. */
function heldSince(file: string, began: number): number {
  const lines = readFileSync(file, 'utf8').split('\n')
  const told = lines.map(line => line.split(' ').map(Number)).filter(([at]) => at! > began + HELD_EVERY_MS)
  return Math.max(...told.map(([, ms]) => ms!))
}

async function asked(child: ChildProcess): Promise<number> {
  const answered = once(child, 'message')
  child.send('done')
  return (await answered)[0] as number
}
