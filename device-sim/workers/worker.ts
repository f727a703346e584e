// A worker process: runs its part of the fleet and says each second what it counted. Started by pool.ts alone.
// Refuses to know the other workers; ends with its parent.
import { type Actor, connect, createActor, withSharedIssuers } from '../fleet/actor.ts'
import { createGroups, type Group } from '../fleet/group.ts'
import { judgeAfterGrace } from '../fleet/judgement.ts'
import { createLedger } from '../fleet/ledger.ts'
import { settle } from '../fleet/settlement.ts'
import { playStages } from '../fleet/stages.ts'
import { forgetPending } from '../fleet/telemetry.ts'
import { noFindings, note, type World } from '../fleet/world.ts'
import { createSchedule, forEachBounded } from '../pace.ts'
import type { Population } from '../results/sample.ts'
import {
  createCounts,
  createLatencies,
  type Entitled,
  noEntitled,
  noPopulation,
  takeLatencies,
} from '../results/tick.ts'
import type { Plan } from '../scenario/plan.ts'
import { type FromWorker, machineNow, type ToWorker } from './protocol.ts'

const TICK_MS = 1_000
const DRAIN_LOOK_MS = 10
const DELIVERY_SILENCE_MS = 300
const DELIVERY_MOST_MS = 5_000
const GOODBYES_AT_ONCE = 200
const STREAMS_PER_WORKER = 1_000_000_000

const schedule = createSchedule(machineNow)
const actors = new Map<number, Actor>()
let groups: Group[] = []
let plan: Plan | null = null
let world: World | null = null
let cpuBefore = process.cpuUsage()

function say(message: FromWorker): Promise<void> {
  return new Promise(resolve => {
    if (!process.connected) return resolve()
    process.send?.(message, () => resolve())
  })
}

function prepare(message: Extract<ToWorker, { do: 'prepare' }>): void {
  plan = message.plan
  groups = createGroups(plan)
  let streams = message.worker * STREAMS_PER_WORKER
  world = {
    runId: message.runId,
    seed: message.seed,
    broker: message.broker,
    schedule,
    connectTimeoutMs: plan.connectTimeoutMs,
    graceMs: plan.graceMs,
    sources: plan.sources,
    counts: createCounts(groups.length),
    latencies: createLatencies(groups.length),
    ledger: createLedger(),
    ending: false,
    findings: noFindings(),
    lastArrivalAt: 0,
    nextStream: () => ++streams,
  }
}

function tick(of: World): Promise<void> {
  const cpu = process.cpuUsage(cpuBefore)
  cpuBefore = process.cpuUsage()
  of.counts.cpuSeconds = (cpu.user + cpu.system) / 1e6
  const { counts, findings } = of
  of.counts = createCounts(groups.length)
  of.findings = noFindings()
  const populations: Population[] = groups.map(noPopulation)
  const entitled = groups.map(noEntitled)
  for (const actor of actors.values()) {
    const population = populations[actor.group.index] as Population
    population.total++
    population[actor.state]++
    if (actor.expect !== 'admitted' || actor.state === 'idle' || actor.state === 'asleep') continue
    const awake = entitled[actor.group.index] as Entitled
    awake.awake++
    if (actor.state === 'connected') awake.connected++
  }
  const rssBytes = process.memoryUsage.rss()
  const rest = { ...takeLatencies(of.latencies), populations, entitled, rssBytes }
  return say({ is: 'tick', tick: { counts, ...rest }, findings })
}

function expectOf(of: World, message: Extract<ToWorker, { do: 'expect' }>): void {
  const { action, answeredAt, expect, why } = message
  for (const index of message.devices) {
    const actor = actors.get(index)
    if (!actor) continue
    const dropped = actor.trial?.action === action && actor.trial.dropped
    actor.expect = expect
    actor.why = why
    actor.trial = { action, answeredAt, dropped }
    if (expect !== 'refused' || answeredAt === null) continue
    if (dropped) note(of.findings.cuts, { action, ms: 0 })
    const { session } = actor
    if (session) judgeAfterGrace(actor, of, session, answeredAt)
  }
}

function rekey(of: World, { device, credentials }: Extract<ToWorker, { do: 'rekey' }>): void {
  const actor = actors.get(device)
  if (!actor) return
  actor.credentials = withSharedIssuers(credentials)
  actor.tlsSession = null
  const { session } = actor
  if (!session) return
  actor.state = 'asleep'
  void session.end().then(() => connect(actor, of, schedule.now()))
}

async function quiet(of: World, drainMs: number): Promise<void> {
  of.ending = true
  for (const actor of actors.values()) actor.attempt?.cancel()
  const deadline = schedule.now() + drainMs
  const busy = (): boolean => [...actors.values()].some(actor => (actor.pending?.size ?? 0) > 0)
  while (busy() && schedule.now() < deadline) await schedule.wait(schedule.now() + DRAIN_LOOK_MS)
  for (const actor of actors.values()) forgetPending(actor, of)
  const streams = [...actors.values()].flatMap(actor => [...(actor.streams?.values() ?? [])])
  const listens = [...actors.values()].some(actor => actor.filters.length > 0)
  await say({ is: 'quiet', streams, listens })
}

/** What was sent last may still be on its way to subscribers. */
async function arrivalsEnd(of: World): Promise<void> {
  const deadline = schedule.now() + DELIVERY_MOST_MS
  const from = schedule.now()
  while (schedule.now() < Math.min(deadline, Math.max(from, of.lastArrivalAt) + DELIVERY_SILENCE_MS)) {
    await schedule.wait(schedule.now() + DRAIN_LOOK_MS)
  }
}

async function end(of: World): Promise<void> {
  const open = [...actors.values()].filter(actor => actor.session)
  await forEachBounded(open, GOODBYES_AT_ONCE, async actor => {
    const { session } = actor
    actor.state = 'asleep'
    await session?.end()
  })
  await tick(of)
  await say({ is: 'ended' })
  schedule.close()
  process.disconnect?.()
}

async function obey(message: ToWorker): Promise<void> {
  if (message.do === 'prepare') {
    prepare(message)
    return say({ is: 'ready' })
  }
  if (!world || !plan) throw new Error(`${message.do} before prepare`)
  const of = world
  switch (message.do) {
    case 'cast':
      for (const part of message.parts) {
        const group = groups[part.group]
        if (group) actors.set(part.index, createActor(part, group, of))
      }
      return say({ is: 'ready' })
    case 'start': {
      cpuBefore = process.cpuUsage()
      playStages(plan, actors, groups, of, message.at)
      const beat = (dueAt: number): void => {
        void tick(of)
        schedule.at(dueAt + TICK_MS, beat)
      }
      schedule.at(message.at + TICK_MS, beat)
      return
    }
    case 'look':
      await tick(of)
      return say({ is: 'ready' })
    case 'expect':
      return expectOf(of, message)
    case 'rekey':
      return rekey(of, message)
    case 'quiet':
      return quiet(of, message.drainMs)
    case 'settle':
      await arrivalsEnd(of)
      settle(actors.values(), message.streams, of)
      await tick(of)
      return say({ is: 'settled', ledgerOverflow: of.ledger.overflow() })
    case 'end':
      return end(of)
  }
}

process.on('message', (message: ToWorker) => {
  obey(message).catch(async error => {
    await say({ is: 'failed', message: error instanceof Error ? error.message : String(error) })
    process.exit(1)
  })
})
// Ctrl-C reaches the whole process group: the parent ends the run, and its workers with it.
process.on('SIGINT', () => {}).on('SIGTERM', () => {})
process.once('disconnect', () => process.exit(0))
