// A worker process: runs its part of the fleet and says each second what it counted. Started by local-worker.ts alone.
// Does not know the other workers; ends with its parent.

import { checkAfterGrace } from '../fleet/admission-verdict.ts'
import { beatsPerMs } from '../fleet/beat-grid.ts'
import { createDeliveryTracker } from '../fleet/delivery-tracker.ts'
import { connect } from '../fleet/device.ts'
import { createDevice, type Device } from '../fleet/device-state.ts'
import { createGroups, type Group } from '../fleet/group.ts'
import { missingByQos } from '../fleet/missing-messages.ts'
import { withSharedIssuers } from '../fleet/shared-issuers.ts'
import { playStages } from '../fleet/stages.ts'
import { forgetPending, publishOn } from '../fleet/telemetry.ts'
import { addFinding, noFindings, type WorkerContext } from '../fleet/worker-context.ts'
import { loadTransport } from '../links/socket.ts'
import { createSourcePorts } from '../links/source-ports.ts'
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
import { createSchedule, forEachBounded } from '../schedule.ts'
import { askForMachineClock, machineNow } from './machine-clock.ts'
import type { FromWorker, ToWorker } from './protocol.ts'

const TICK_MS = 1_000
const DRAIN_LOOK_MS = 10
const DELIVERY_SILENCE_MS = 300
/** A broker on a busy machine may be silent for a second and have them still. */
const DELIVERY_SILENCE_WHERE_MISSING_MS = 2_000
const DELIVERY_MOST_MS = 5_000
const DISCONNECTS_AT_ONCE = 200
const STREAMS_PER_WORKER = 1_000_000_000

/** How far the parent's clock is ahead of this machine's. */
let clockOffsetMs = 0
const schedule = createSchedule(() => machineNow() + clockOffsetMs)
const devices = new Map<number, Device>()
let groups: Group[] = []
let plan: Plan | null = null
let context: WorkerContext | null = null
let cpuBefore = process.cpuUsage()

function send(message: FromWorker): Promise<void> {
  return new Promise(resolve => {
    if (!process.connected) return resolve()
    process.send?.(message, () => resolve())
  })
}

const clock = askForMachineClock(at => void send({ is: 'ask', at }))

async function prepare(message: Extract<ToWorker, { do: 'prepare' }>): Promise<void> {
  plan = message.plan
  const mqttJs = plan.groups.some(({ link }) => link === 'mqttjs') ? await import('../links/mqttjs.ts') : null
  await loadTransport(message.broker.transport)
  const replays = new Map(message.replays)
  groups = createGroups(plan, file => replays.get(file) ?? '')
  let streams = message.worker * STREAMS_PER_WORKER
  context = {
    runId: message.runId,
    seed: message.seed,
    broker: message.broker,
    openMqttJs: mqttJs?.openLink ?? null,
    schedule,
    beatsPerMs: beatsPerMs(plan),
    connectTimeoutMs: plan.connectTimeoutMs,
    graceMs: plan.graceMs,
    sources: plan.sources,
    ports: createSourcePorts(
      plan.groups.reduce((sum, { count }) => sum + count, 0),
      message.worker,
    ),
    counts: createCounts(groups.length),
    latencies: createLatencies(groups.length),
    deliveries: createDeliveryTracker(),
    ending: false,
    findings: noFindings(),
    lastArrivalAt: 0,
    nextStream: () => ++streams,
  }
}

function tick(of: WorkerContext): Promise<void> {
  const cpu = process.cpuUsage(cpuBefore)
  cpuBefore = process.cpuUsage()
  of.counts.cpuSeconds = (cpu.user + cpu.system) / 1e6
  const { counts, findings } = of
  of.counts = createCounts(groups.length)
  of.findings = noFindings()
  const populations: Population[] = groups.map(noPopulation)
  const entitled = groups.map(noEntitled)
  for (const device of devices.values()) {
    const population = populations[device.group.index] as Population
    population.total++
    population[device.state]++
    if (device.expect !== 'admitted' || device.state === 'idle' || device.state === 'asleep') continue
    const awake = entitled[device.group.index] as Entitled
    awake.awake++
    if (device.state === 'connected') awake.connected++
  }
  const rssBytes = process.memoryUsage.rss()
  const rest = { ...takeLatencies(of.latencies), populations, entitled, rssBytes }
  return send({ is: 'tick', tick: { counts, ...rest }, findings })
}

function expectOf(of: WorkerContext, message: Extract<ToWorker, { do: 'expect' }>): void {
  const { action, answeredAt, expect, why } = message
  for (const index of message.devices) {
    const device = devices.get(index)
    if (!device) continue
    const dropped = device.trial?.action === action && device.trial.dropped
    device.expect = expect
    device.why = why
    device.trial = { action, answeredAt, dropped }
    if (expect !== 'refused' || answeredAt === null) continue
    if (dropped) addFinding(of.findings.cuts, { action, ms: 0 })
    const { session } = device
    if (session) checkAfterGrace(device, of, session, answeredAt)
  }
}

function rekey(of: WorkerContext, { device: index, credentials }: Extract<ToWorker, { do: 'rekey' }>): void {
  const device = devices.get(index)
  if (!device) return
  device.credentials = withSharedIssuers(credentials)
  device.tlsSession = null
  const { session } = device
  if (!session) return
  device.state = 'asleep'
  void session.end().then(() => connect(device, of, schedule.now()))
}

/** An attempt in progress is neither a connection nor a failure: it may get its answer before devices are counted. */
async function attemptsEnd(of: WorkerContext, patienceMs: number): Promise<void> {
  const honest = [...devices.values()].filter(({ expect }) => expect === 'admitted')
  const attempts = honest.flatMap(({ attempt }) => attempt?.settled ?? [])
  const ended = new AbortController()
  void Promise.all(attempts).then(() => ended.abort())
  await of.schedule.wait(of.schedule.now() + patienceMs, ended.signal)
}

async function quiet(of: WorkerContext, drainMs: number): Promise<void> {
  of.ending = true
  for (const device of devices.values()) device.attempt?.cancel()
  const deadline = schedule.now() + drainMs
  const busy = (): boolean => [...devices.values()].some(device => (device.pending?.size ?? 0) > 0)
  while (busy() && schedule.now() < deadline) await schedule.wait(schedule.now() + DRAIN_LOOK_MS)
  for (const device of devices.values()) forgetPending(device, of)
  const streams = [...devices.values()].flatMap(device => [...(device.streams?.values() ?? [])])
  const listens = [...devices.values()].some(device => device.filters.length > 0)
  await send({ is: 'quiet', streams, listens })
}

/** The last messages may still be on their way to subscribers: longer, where some are missing. @returns those that did not come. */
async function deliveriesEnd(
  of: WorkerContext,
  { streams, clocksDifferMs }: Extract<ToWorker, { do: 'settle' }>,
): Promise<[number, number, number]> {
  const from = schedule.now()
  const silence = async (ms: number): Promise<void> => {
    const over = (): number => Math.min(from + DELIVERY_MOST_MS, Math.max(from, of.lastArrivalAt) + ms)
    while (schedule.now() < over()) await schedule.wait(schedule.now() + DRAIN_LOOK_MS)
  }
  await silence(DELIVERY_SILENCE_MS)
  const count = () => missingByQos(devices.values(), streams, of, clocksDifferMs)
  const missing = count()
  if (missing.every(each => each === 0)) return missing
  await silence(DELIVERY_SILENCE_WHERE_MISSING_MS)
  return count()
}

async function end(of: WorkerContext): Promise<void> {
  const open = [...devices.values()].filter(device => device.session)
  await forEachBounded(open, DISCONNECTS_AT_ONCE, async device => {
    const { session } = device
    publishOn('disconnect', device, of)
    device.state = 'asleep'
    await session?.end()
  })
  await tick(of)
  await send({ is: 'ended' })
  schedule.close()
  process.disconnect?.()
}

async function carryOut(message: ToWorker): Promise<void> {
  if (message.do === 'clock') {
    clockOffsetMs = message.offsetMs
    return
  }
  if (message.do === 'tell') return clock.answer(message.asked, message.now)
  if (message.do === 'prepare') {
    await prepare(message)
    return send({ is: 'ready', clockErrorMs: await clock.known })
  }
  if (!context || !plan) throw new Error(`${message.do} before prepare`)
  const of = context
  switch (message.do) {
    case 'add':
      for (const part of message.parts) {
        const group = groups[part.group]
        if (group) devices.set(part.index, createDevice(part, group, of))
      }
      return send({ is: 'ready' })
    case 'start': {
      cpuBefore = process.cpuUsage()
      playStages(plan, devices, groups, of, message.at)
      const beat = (dueAt: number): void => {
        void tick(of)
        schedule.at(dueAt + TICK_MS, beat)
      }
      schedule.at(message.at + TICK_MS, beat)
      return
    }
    case 'look':
      await attemptsEnd(of, message.patienceMs)
      await tick(of)
      return send({ is: 'ready' })
    case 'expect':
      return expectOf(of, message)
    case 'rekey':
      return rekey(of, message)
    case 'quiet':
      return quiet(of, message.drainMs)
    case 'settle': {
      const missing = await deliveriesEnd(of, message)
      for (const qos of [0, 1, 2] as const) of.counts.traffic[qos].lost += missing[qos]
      await tick(of)
      return send({ is: 'settled', ledgerOverflow: of.deliveries.overflow() })
    }
    case 'end':
      return end(of)
  }
}

process.on('message', (message: ToWorker) => {
  carryOut(message).catch(async error => {
    await send({ is: 'failed', message: error instanceof Error ? error.message : String(error) })
    process.exit(1)
  })
})
// Ctrl-C reaches the whole process group: the parent ends the run, and its workers with it.
process.on('SIGINT', () => {}).on('SIGTERM', () => {})
process.once('disconnect', () => process.exit(0))
