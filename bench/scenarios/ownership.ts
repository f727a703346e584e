// What an admission costs a broker that shares registry and sessions with others, beside one of the same build that does not: CPU of its
// processes for each full handshake + CONNECT + DISCONNECT, and how many there are in a second. PostgreSQL with all that makes it durable.
// Run by hand: node bench/scenarios/ownership.ts [--quick]
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { moveRegistry } from '../../db/replication/move.ts'
import { readPostgresSettings } from '../../db/replication/postgres.ts'
import { createNodes, type NodeProcess } from '../../test/broker/cluster/nodes.ts'
import { enrollFleet, type Member } from '../../test/harness/fleet.ts'
import { cpuMicros, cpuOfOne, processTree } from '../cpu.ts'
import { closeClient, openClient } from '../mqtt-client.ts'

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false } } })
const ROUNDS = values.quick ? 3 : 7
const DEVICES = values.quick ? 300 : 600
const AT_ONCE = 16
const [SETTLE_MS, IDLE_MS] = [3_000, 10_000]

const nodes = await createNodes({ durable: true })
const scratch = mkdtempSync(join(tmpdir(), 'rollcall-bench-ownership-'))
const root = nodes.roll.root.certificate
const kinds = ['SQLite', 'replica', 'replica, bus', 'replica, bus, 2 gates'] as const
type Kind = (typeof kinds)[number]

/** A broker with a data directory of its own, over the registry in PostgreSQL. */
function shared(name: string, hasBus: boolean, gates: number): Promise<NodeProcess> {
  const data = join(scratch, name)
  cpSync(nodes.roll.data, data, {
    recursive: true,
    filter: path => !/registry\.db|\.log$|\.lock$|\.sock$/.test(path),
  })
  return nodes.fork(name, 0, { data, hasReplica: true, gates, times: null, ...(hasBus ? {} : { bus: null }) })
}

/** µs of CPU in a ms without any device: on a busy machine, where admissions are few in a second, it would count as theirs. */
type Idle = { cpu: number; engine: number }

async function idleOf(brokers: readonly NodeProcess[]): Promise<Map<NodeProcess, Idle>> {
  await pause(SETTLE_MS)
  const begin = brokers.map(({ pid }) => ({ cpu: cpuMicros(pid), engine: cpuOfOne(pid) }))
  const began = performance.now()
  await pause(IDLE_MS)
  const ms = performance.now() - began
  return new Map(
    brokers.map((broker, index) => {
      const { cpu, engine } = begin[index]!
      const { pid } = broker
      return [broker, { cpu: (cpuMicros(pid) - cpu) / ms, engine: (cpuOfOne(pid) - engine) / ms }]
    }),
  )
}

type Figures = { cpu: number; engine: number; perSecond: number }

async function storm(node: NodeProcess, idle: Idle, devices: readonly Member[]): Promise<Figures> {
  const all = () => cpuMicros(node.pid)
  const [before, engineBefore, began] = [all(), cpuOfOne(node.pid), performance.now()]
  const waiting = devices.values()
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (const device of waiting) await closeClient(await openClient(node.broker.port, root, device))
    }),
  )
  const count = devices.length
  const ms = performance.now() - began
  return {
    cpu: (all() - before - idle.cpu * ms) / count,
    engine: (cpuOfOne(node.pid) - engineBefore - idle.engine * ms) / count,
    perSecond: (count / ms) * 1_000,
  }
}

const median = (of: number[]) => of.toSorted((a, b) => a - b)[Math.floor(of.length / 2)]!

try {
  const members = await enrollFleet(nodes.roll, (ROUNDS + 1) * DEVICES * 2)
  await moveRegistry({
    sqlite: nodes.roll.registry.sqlite,
    settings: readPostgresSettings(nodes.postgres.url),
    replica: join(scratch, 'moved.db'),
    name: 'bench',
  })
  const brokers: Record<Kind, NodeProcess> = {
    SQLite: await nodes.fork('alone', 0, { bus: null }),
    replica: await shared('replica', false, 0),
    'replica, bus': await shared('bus', true, 0),
    'replica, bus, 2 gates': await shared('gates', true, 2),
  }
  const idle = await idleOf(Object.values(brokers))
  for (const kind of kinds)
    console.log(`idle, ${kind}: ${idle.get(brokers[kind])!.cpu.toFixed(1)} ms of CPU in a second`)
  const fresh = new Map<Kind, Figures[]>(kinds.map(kind => [kind, []]))
  const again = new Map<Kind, Figures[]>(kinds.map(kind => [kind, []]))
  let next = 0
  for (let round = 0; round <= ROUNDS; round += 1) {
    // Those that share sessions get devices that no node has had: a move between them is another thing.
    const sets = [members.slice(next, next + DEVICES), members.slice(next + DEVICES, next + 2 * DEVICES)]
    next += 2 * DEVICES
    for (const kind of kinds) {
      const devices = sets[kind === 'replica, bus, 2 gates' ? 1 : 0]!
      const broker = brokers[kind]
      const first = await storm(broker, idle.get(broker)!, devices)
      const second = await storm(broker, idle.get(broker)!, devices)
      if (round === 0) continue // to warm up
      fresh.get(kind)!.push(first)
      again.get(kind)!.push(second)
    }
  }
  console.log(`${ROUNDS} rounds of ${DEVICES} devices, ${AT_ONCE} at once; load ${loadavg()[0]!.toFixed(1)}`)
  for (const [title, figures] of [
    ['first connection at any node', fresh],
    ['again', again],
  ] as const) {
    const base = median(figures.get('replica')!.map(({ cpu }) => cpu))
    for (const kind of kinds) {
      const of = (field: keyof Figures) => median(figures.get(kind)!.map(each => each[field]))
      const processes = processTree(brokers[kind].pid).length
      console.log(
        `${title}, ${kind}: ${Math.round(of('cpu'))} µs of CPU in ${processes} processes (${(of('cpu') / base).toFixed(2)} x replica), of which ${Math.round(of('engine'))} in the first; ${Math.round(of('perSecond'))}/s`,
      )
    }
  }
} finally {
  await nodes[Symbol.asyncDispose]()
  rmSync(scratch, { recursive: true, force: true })
}
