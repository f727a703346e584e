// npm run bench: what an admission, a message, a cut and a start cost, beside mosquitto and bare TLS in the same run.
// CPU of the server process per operation and as a ratio; machines are noisy, so servers take turns and medians count.
import { parseArgs } from 'node:util'
import { enrollFleet, type Member } from '../test/harness/fleet.ts'
import { cpuOfOne } from './cpu.ts'
import { type BenchFleet, createFleet } from './fleet.ts'
import { closeClient, openClient } from './mqtt-client.ts'
import { measureAdmission, measureIdle, type Sessions, warmUp } from './scenarios/admission.ts'
import { measureCuts } from './scenarios/cut.ts'
import { measureQueueing } from './scenarios/durable.ts'
import {
  type FanIn,
  LISTENERS,
  measureFanIn,
  measureFanOut,
  measureRoundTrips,
} from './scenarios/messages.ts'
import { measurePolicy, type PolicyFigures } from './scenarios/policy.ts'
import { measureStarts } from './scenarios/start.ts'
import { measureStorm, quantile, type Storm } from './scenarios/storm.ts'
import { type BenchServer, hasBun, type ServerName, startServer } from './servers.ts'
import { addRatios, addRow, median, printTable, type Spent, withSpread } from './table.ts'

const measures = [
  'policy',
  'admission',
  'idle',
  'messages',
  'queueing',
  'storms',
  'gates',
  'cuts',
  'starts',
] as const
const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: [] },
  },
})
const unknown = flags.only.filter(name => !(measures as readonly string[]).includes(name))
if (unknown.length > 0) throw new Error(`--only takes ${measures.join(', ')}, not ${unknown.join(', ')}`)
const isWanted = (name: (typeof measures)[number]) => flags.only.length === 0 || flags.only.includes(name)

const quick = flags.quick
const onBun = hasBun ? (['bun'] as const) : []
/** Connections between which the slope of an idle one's memory is taken. */
const [IDLE_FROM, IDLE_TO] = [1_000, 4_000]
const rounds = quick ? 3 : 7
/** Admissions of a round, and of those after a start that are shown by themselves. */
const [connects, FIRST] = [quick ? 1_000 : 1_500, quick ? 1_500 : 3_000]
/** Admissions of each server before the rounds. */
const warmTo = quick ? 4_000 : 15_000
/** With a key share of each, as OpenSSL 3.5 offers: mosquitto with OpenSSL 3.0 does not know the first and takes the second at once. */
const HYBRID_FIRST = '*X25519MLKEM768:*X25519'

if (isWanted('policy')) policyChecks()
const fleet = await createFleet({ devices: 1_000, backends: 1 + LISTENERS })
const members =
  isWanted('idle') || isWanted('storms')
    ? await enrollFleet(fleet.roll, Math.max(IDLE_TO, quick ? 2_000 : 10_000))
    : []
try {
  await withServers([...onBun, 'rollcall', 'mosquitto', 'bare'], async servers => {
    const brokers = servers.filter(server => server.name !== 'bare')
    if (isWanted('admission')) await admission(servers)
    if (isWanted('messages')) await messages(brokers)
    if (isWanted('queueing')) await queueing(brokers)
    if (isWanted('storms')) await storms(servers, members.slice(0, quick ? 2_000 : 10_000))
  })
  if (isWanted('idle')) await idle(members.slice(0, IDLE_TO))
  for (const gates of isWanted('gates') ? [1, 2] : []) {
    await withServers(['rollcall'], ([server]) => behindGates(gates, server!), {
      ROLLCALL_BROKER_GATES: String(gates),
    })
  }
  if (isWanted('cuts'))
    await withServers(['rollcall'], async ([server]) => {
      const took = await measureCuts(server!, fleet, 1_000, quick ? 50 : 200)
      addRow(
        'revoke → socket closed',
        'ms p50 / p99',
        'p99 ≤ 100',
        { rollcall: `${ms(took, 0.5)} / ${ms(took, 0.99)}` },
        took,
      )
    })
} finally {
  await fleet.close()
}
if (isWanted('starts')) {
  const starts = await measureStarts(quick ? 2 : 5)
  addRow(
    'start → first admitted device',
    's median (spread)',
    '≤ 1',
    { rollcall: withSpread(starts, 2) },
    starts,
  )
}

printTable(quick)

function policyChecks(): void {
  measurePolicy() // warm
  const runs = Array.from({ length: rounds }, measurePolicy)
  const of = (figure: keyof PolicyFigures) => median(runs.map(run => run[figure]))
  const rollcall = `${(of('publishNanos') / 1_000).toFixed(2)}`
  addRow('policy check, 20 statements', 'µs per publish, median', '≤ 2', { rollcall }, runs)
  addRow(
    'policy bound, 20 statements',
    'µs per session, median',
    '–',
    { rollcall: of('bindMicros').toFixed(0) },
    runs,
  )
}

/**
 * Warm: a runtime compiles until some 12,000 admissions. The clients offer X25519 alone, so that all servers do the same work; a row of its own has what
 * those pay that know the post-quantum group, too.
 */
async function admission(servers: BenchServer[]): Promise<void> {
  const kept = new Map<ServerName, Sessions>(servers.map(server => [server.name, new Map()]))
  const resuming = (server: BenchServer) => ({ sessions: kept.get(server.name)! })
  const first = collect(servers)
  for (const server of servers) first[server.name]!.push(await measureAdmission(server, fleet, FIRST))
  addRatios(`full handshake + CONNECT, first ${FIRST} after a start`, '–', first)
  for (const server of servers) await warmUp(server, fleet, resuming(server).sessions, warmTo - FIRST)
  const after = quick ? `after ${warmTo}: short, --quick` : `warm, after ${warmTo}`
  const full = await takeTurns(servers, server => measureAdmission(server, fleet, connects))
  addRatios(`full handshake + CONNECT, ${after}`, '≤ 0.85 × on Node, 0.55 × on Bun', full)
  const resumed = await takeTurns(servers, server =>
    measureAdmission(server, fleet, connects, resuming(server)),
  )
  addRatios(`resumed handshake + CONNECT, ${after}`, '≤ 0.80 × on Node, 0.60 × on Bun', resumed)
  const hybrid = await takeTurns(servers, server =>
    measureAdmission(server, fleet, connects, { groups: HYBRID_FIRST }),
  )
  addRatios('full, the client prefers X25519MLKEM768', '–', hybrid)
}

/** Each server is fresh: one that had many connections keeps memory, which the next ones then cost nothing of. */
async function idle(members: readonly Member[]): Promise<void> {
  const taken: Record<string, number[]> = {}
  for (let round = 0; round < (quick ? 1 : 3); round += 1) {
    for (const name of ['rollcall', ...onBun, 'mosquitto', 'bare'] as const)
      await withServers([name], async ([server]) => {
        const kib = await measureIdle(server!, fleet.root, members, IDLE_FROM)
        taken[name] = [...(taken[name] ?? []), kib]
      })
  }
  const cells = Object.fromEntries(Object.entries(taken).map(([server, kib]) => [server, withSpread(kib)]))
  addRow('idle connection', 'KiB resident, slope from 1,000 to 4,000', '–', cells, taken)
}

/** The same admissions with the gate in processes of its own: all of their CPU together, and the engine's part. */
async function behindGates(gates: number, server: BenchServer): Promise<void> {
  await warmUp(server, fleet, new Map(), warmTo)
  const whole: number[] = []
  const engine: number[] = []
  for (let round = 0; round < rounds; round += 1) {
    const before = cpuOfOne(server.pid)
    whole.push(await measureAdmission(server, fleet, connects))
    engine.push((cpuOfOne(server.pid) - before) / connects)
  }
  const rollcall = `${withSpread(whole)}, engine ${withSpread(engine)}`
  const name = `full handshake + CONNECT, gates ${gates}`
  addRow(
    name,
    'µs CPU median (spread)',
    '≤ 1.25 × one process, engine ≤ 350',
    { rollcall },
    { whole, engine },
  )
}

/** Servers take turns, so that what disturbs the machine disturbs them alike. */
async function takeTurns(
  servers: BenchServer[],
  measure: (server: BenchServer) => Promise<number>,
): Promise<Spent> {
  const spent = collect(servers)
  for (let round = 0; round < rounds; round += 1) {
    for (const server of servers) spent[server.name]!.push(await measure(server))
  }
  return spent
}

async function messages(servers: BenchServer[]): Promise<void> {
  for (const server of servers) await measureFanIn(server, fleet, 20_000) // warm
  for (const level of [4, 5] as const) {
    const version = level === 4 ? 'MQTT 3.1.1' : 'MQTT 5'
    const kinds: [string, number, (server: BenchServer) => Promise<FanIn>][] = [
      ['QoS 0, 50 devices → backend', 1.25, server => measureFanIn(server, fleet, 50_000, 0, level)],
      ['QoS 1, 50 devices → backend', 1.2, server => measureFanIn(server, fleet, 20_000, 1, level)],
      [
        `QoS 0, backend → ${LISTENERS}, per delivery`,
        0.45,
        server => measureFanOut(server, fleet, 400, level),
      ],
    ]
    for (const [kind, ratio, measure] of kinds) {
      let lost = 0
      const spent = await takeTurns(servers, async server => {
        const run = await measure(server)
        if (server.name === 'rollcall') lost += run.lost
        return run.cpuMicrosPerMessage
      })
      addRatios(`${kind}, 128 B, ${version}`, `≤ ${ratio} × (lost: ${lost})`, spent, 1)
    }
  }
  const cells: Record<string, string> = {}
  const all: Record<string, number[]> = {}
  for (const server of servers) {
    const took = await measureRoundTrips(server, fleet, quick ? 500 : 2_000)
    cells[server.name] = `${ms(took, 0.5)} / ${ms(took, 0.99)}`
    all[server.name] = took
  }
  addRow('QoS 1 round trip', 'ms p50 / p99', 'p50 ≤ 1', cells, all)
}

/** To devices that are away. mosquitto keeps what waits in memory; ours is on disk before PUBACK. */
async function queueing(servers: BenchServer[]): Promise<void> {
  const away = fleet.devices.slice(0, quick ? 20 : 50)
  for (const server of servers) await measureQueueing(server, fleet, away) // warm
  const spent = await takeTurns(
    servers,
    async server => (await measureQueueing(server, fleet, away)).cpuMicros,
  )
  addRatios('QoS 1 to devices that are away, 128 B', '≥ 10,000 /s', spent, 1)
  // So that nobody else waits for what they are owed.
  for (const server of servers)
    for (const device of away) await closeClient(await openClient(server.port, fleet.root, device))
}

/** A whole fleet at once, first as strangers to the server's memory, then again. */
async function storms(servers: BenchServer[], members: readonly Member[]): Promise<void> {
  const cpu = collect(servers)
  const cells: Record<string, string> = {}
  const all: Record<string, Storm[]> = {}
  for (let round = 0; round < (quick ? 2 : 3); round += 1) {
    for (const server of servers) {
      const present = server.name === 'bare' ? null : fleet.devices[0]!
      const storm = await measureStorm(server, fleet.root, members, present)
      cpu[server.name]!.push(storm.cpuMicrosPerDevice)
      const runs = [...(all[server.name] ?? []), storm]
      all[server.name] = runs
      const seconds = runs.map(({ tookMs }) => tookMs.at(-1)! / 1_000)
      const p99 = runs.map(({ tookMs }) => quantile(tookMs, 0.99) / 1_000)
      const live = runs.map(({ meanwhileMs }) => quantile(meanwhileMs, 0.99))
      const noticed = present === null ? '' : `, live p99 ${median(live).toFixed(0)} ms`
      const failed = runs.reduce((sum, run) => sum + run.failed, 0)
      cells[server.name] =
        `${withSpread(seconds, 1)}, p99 ${median(p99).toFixed(1)}${noticed}, ${failed} not admitted`
    }
  }
  addRatios(`${members.length} devices at once`, '–', cpu)
  addRow(
    `${members.length} devices at once, the last admitted after`,
    's median (spread)',
    'all admitted',
    cells,
    all,
  )
}

async function withServers(
  names: ServerName[],
  work: (servers: BenchServer[]) => Promise<void>,
  env: NodeJS.ProcessEnv = {},
): Promise<void> {
  const servers: BenchServer[] = []
  try {
    for (const name of names) servers.push(await startServer(name, fleet as BenchFleet, { env }))
    await work(servers)
  } finally {
    for (const server of servers) await server.stop()
  }
}

function collect(servers: BenchServer[]): Spent {
  return Object.fromEntries(servers.map(server => [server.name, []]))
}

function ms(sorted: number[], quantile: number): string {
  return (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * quantile))] ?? Number.NaN).toFixed(2)
}
