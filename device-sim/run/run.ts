// Runs a scenario: prepares the participants, starts the workers, plays stages and operator's actions, ends with the summary.
// Holds the order alone; the run's listeners show it.
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { readReplays } from '../fleet/payload.ts'
import { measuredText } from '../output/figures.ts'
import { createHistogram } from '../results/histogram.ts'
import { createSamples } from '../results/samples.ts'
import type { RunEvent, Summary } from '../results/summary.ts'
import { holds } from '../scenario/expression.ts'
import type { Plan } from '../scenario/plan.ts'
import { stageTimes } from '../scenario/stage-times.ts'
import { machineNow } from '../workers/machine-clock.ts'
import { createPool, type Pool } from '../workers/pool.ts'
import { messagesOf, sentOf } from './all-sent.ts'
import { createExcuses } from './excused.ts'
import { factsOf } from './facts.ts'
import { createFailFast, FAIL_FAST_DEFAULT } from './fail-fast.ts'
import { createLimits } from './limits.ts'
import { metricValue } from './metrics.ts'
import { createOperator } from './operator.ts'
import { type Findings, summaryOf } from './outcome.ts'
import { type Participants, prepareParticipants } from './participants.ts'
import type { RunOptions } from './run-options.ts'
import { createWatch } from './watch.ts'
import { createProcessWatch } from './watched-process.ts'
import { findWorkerSlots, type WorkerSlots } from './worker-slots.ts'

/** Workers get this long between being told to start and starting, so that all start together: more where they are told over a network. */
const START_DELAY_MS = 10
const START_DELAY_OF_AGENTS_MS = 250
const DRAIN_MS = 5_000
/** Attempts in progress at the end may take this long: a SYN that a full backlog dropped is sent again after 1 and 3 seconds. */
const LAST_ATTEMPTS_MS = 5_000
const NAMED_MAX = 100

/** @throws RunFailed where the run cannot start. */
export async function runScenario(options: RunOptions): Promise<Summary> {
  const { plan, target, listeners, signal } = options
  const devices = plan.groups.reduce((sum, { count }) => sum + count, 0)
  const slots = await findWorkerSlots(plan, devices, options.agents ?? null, options)
  try {
    const participants = await prepareParticipants(plan, target, {
      signal,
      enrollConcurrency: options.enrollConcurrency,
      onProgress: (done, total) => listeners.step('enrolling', done, total),
    })
    try {
      return await createRun(options, slots, participants)()
    } finally {
      participants.api?.close()
    }
  } finally {
    slots.close()
  }
}

function createRun(
  options: RunOptions,
  { slots, agents }: WorkerSlots,
  participants: Participants,
): () => Promise<Summary> {
  const { plan, target, listeners } = options
  const workers = slots.length
  const replays = readReplays(plan)
  const hopeless = new AbortController()
  const signal = AbortSignal.any([options.signal, hopeless.signal])
  const allSent = new AbortController()
  const messages = messagesOf(plan)
  const ends = [signal, allSent.signal]
  const over = AbortSignal.any(options.timeUp === undefined ? ends : [...ends, options.timeUp])
  const failFast = createFailFast(plan, options.failFast ?? FAIL_FAST_DEFAULT)
  const runId = randomBytes(4).toString('hex')
  const samples = createSamples(workers, plan.groups.length)
  const limits = createLimits()
  const { beginsAtMs, endsAtMs } = stageTimes(plan)
  const findings: Findings = {
    wronglyAdmitted: [],
    wronglyRefused: [],
    actions: [],
    checks: [],
    events: [],
    limits: [],
    troubles: [],
  }
  const cut = createHistogram()
  let startedAt = 0
  let stage = -1
  const elapsedSeconds = (): number => Math.max(0, Math.round(machineNow() - startedAt) / 1000)
  const sources = {
    samples,
    cut,
    kept: () => findings.actions.reduce((sum, { kept }) => sum + kept, 0),
    groups: plan.groups.length,
  }

  function say(kind: RunEvent['kind'], text: string, good = true): void {
    const event = { elapsedSeconds: elapsedSeconds(), kind, text, good }
    findings.events.push(event)
    listeners.event(event)
  }

  const pool: Pool = createPool(slots, {
    tick(worker, tick, found) {
      samples.take(worker, tick)
      for (const device of found.admitted) {
        if (findings.wronglyAdmitted.length >= NAMED_MAX) break
        const { at, ...rest } = device
        findings.wronglyAdmitted.push({ ...rest, elapsedSeconds: Math.round(at - startedAt) / 1000 })
      }
      excuses.look(found.refused)
      findings.wronglyRefused.push(...found.refused.slice(0, NAMED_MAX - findings.wronglyRefused.length))
      for (const { action, ms } of found.cuts) {
        findings.actions[action]?.cut.record(ms)
        cut.record(ms)
      }
      for (const { action } of found.kept) {
        const acted = findings.actions[action]
        if (acted) acted.kept++
      }
    },
    died(worker, how) {
      samples.bury(worker)
      const name = slots[worker]?.name
      limits.add('worker', `${name} ended (${how}): its devices are gone`)
      findings.troubles.push(`${name} of ${workers} ended (${how})`)
      say('limit', `${name} ended (${how}): its devices are gone`, false)
    },
  })
  const excuses = createExcuses({ ...participants, pool, say })
  const operator = createOperator({ ...participants, plan, pool, command: options.operatorCommand })

  function check(kind: 'assert' | 'threshold', of: Plan['asserts'][number], atEnd: boolean): void {
    const { expression, group } = of
    const observed = metricValue(expression.metric, group, sources)
    // Nothing measured breaks no promise about how long something took, but it keeps none either.
    const passed = observed !== null && holds(expression, observed)
    const text = group === null ? expression.text : `${plan.groups[group]?.name}: ${expression.text}`
    const when = atEnd ? null : elapsedSeconds()
    findings.checks.push({ kind, expression: text, observed, passed, elapsedSeconds: when })
    if (kind === 'assert') say('assert', `${text} (${measuredText(expression.text, observed)})`, passed)
  }

  async function act(index: number): Promise<void> {
    const action = plan.actions[index] as Plan['actions'][number]
    const group = action.group === null ? (action.issuer ?? '') : (plan.groups[action.group]?.name ?? '')
    const acted = findings.actions[index]
    if (acted) acted.elapsedSeconds = elapsedSeconds()
    const { devices, failed, fault } = await operator.act(action, index)
    if (acted) Object.assign(acted, { devices, failed })
    if (signal.aborted && failed > 0) return
    const done = `${action.verb} ${group}: ${devices - failed} of ${devices} devices`
    say('action', fault === null ? done : `${done}; ${fault}`, failed === 0)
  }

  /** Resolves once all actions of the timeline are done, or early where it need not be played to its end. */
  async function timeline(): Promise<void> {
    const acting: Promise<void>[] = []
    const due = [
      ...plan.stages.map((of, index) => ({
        atMs: beginsAtMs[index] ?? 0,
        run: () => {
          stage = index
          say('stage', of.name)
        },
      })),
      ...plan.actions.map(({ atMs }, index) => ({ atMs, run: () => void acting.push(act(index)) })),
      ...plan.asserts.flatMap(one =>
        one.atMs === null ? [] : { atMs: one.atMs, run: () => check('assert', one, false) },
      ),
      { atMs: endsAtMs, run: () => {} },
    ].toSorted((a, b) => a.atMs - b.atMs)
    for (const { atMs, run } of due) {
      await waitUntil(startedAt + atMs, over)
      if (over.aborted) break
      run()
    }
    await Promise.all(acting)
  }

  return async () => {
    const watch = createWatch({ say, limits })
    const processes = createProcessWatch(options.watchedPids ?? [])
    const watched = { pids: [...(options.watchedPids ?? [])], cpuSeconds: 0, rssMaxBytes: 0 }
    const cutSample = (): void => {
      const name = plan.stages[Math.max(0, stage)]?.name ?? ''
      const moment = { at: new Date(), elapsedSeconds: elapsedSeconds(), stage: name }
      const sample = samples.cut({ ...moment, watched: processes.look })
      watched.cpuSeconds += (sample.watched?.cpu ?? 0) * sample.seconds
      watched.rssMaxBytes = Math.max(watched.rssMaxBytes, sample.watched?.rssBytes ?? 0)
      for (const pid of processes.ended()) say('note', `the watched process ${pid} has ended`, false)
      watch.look(sample)
      const reason = failFast(samples.total().counts)
      if (reason !== null) {
        findings.troubles.push(reason)
        say('note', reason, false)
        hopeless.abort()
      }
      if (sentOf(samples.total().counts) >= messages) allSent.abort()
      listeners.sample(sample)
    }
    let beat: NodeJS.Timeout | null = null
    try {
      listeners.step('starting workers', 0, workers)
      await pool.addDevices(
        { runId, seed: plan.seed, plan, broker: target.broker, replays },
        participants.members.map(partOf),
      )
      listeners.step('starting workers', workers, workers)
      const startedAtDate = new Date()
      const facts = { ...factsOf(options, workers, runId, startedAtDate), agents: agents() }
      for (const { group, verb, issuer } of plan.actions) {
        const name = group === null ? (issuer ?? '') : (plan.groups[group]?.name ?? '')
        const nothing = { elapsedSeconds: 0, devices: 0, failed: 0, kept: 0 }
        findings.actions.push({ ...nothing, verb, group: name, cut: createHistogram() })
      }
      listeners.started(facts)
      startedAt = machineNow() + (agents().length > 0 ? START_DELAY_OF_AGENTS_MS : START_DELAY_MS)
      pool.tell({ do: 'start', at: startedAt })
      beat = setInterval(cutSample, 1_000)
      await timeline()
      await pool.look(signal.aborted ? 0 : LAST_ATTEMPTS_MS)
      if (!signal.aborted) for (const one of plan.asserts) if (one.atMs === null) check('assert', one, true)
      const connectedAtEnd = samples.total().populations
      await pool.quiet(signal.aborted ? DRAIN_MS / 5 : DRAIN_MS)
      const overflow = await pool.settle(2 * Math.max(0, ...agents().map(agent => agent.clockErrorMs)))
      await excuses.settle(findings, samples)
      if (overflow > 0)
        limits.add('ledger', `${overflow} pairs of sender and subscriber were not counted by number`)
      clearInterval(beat)
      cutSample()
      const seconds = elapsedSeconds()
      if (!signal.aborted) {
        for (const expression of plan.thresholds)
          check('threshold', { expression, group: null, atMs: null }, true)
      }
      const promised = plan.asserts.length + plan.thresholds.length
      const unchecked = promised - findings.checks.length
      if (unchecked > 0) {
        findings.troubles.push(
          `${options.signal.aborted ? 'interrupted' : 'stopped'} before ${unchecked} of ${promised} promises were checked`,
        )
      }
      await pool.end()
      await operator.restore()
      findings.limits = limits.all()
      const issued = ['api', 'est', 'tpm'].includes(target.identities.from)
      const enrollment = issued ? participants.enrollment : null
      const summary = summaryOf({
        run: { ...facts, agents: agents() },
        endedAt: new Date(),
        seconds,
        interrupted: options.signal.aborted,
        enrollment,
        samples,
        populations: connectedAtEnd,
        watched: watched.pids.length === 0 ? null : watched,
        findings,
      })
      listeners.ended(summary)
      return summary
    } finally {
      if (beat) clearInterval(beat)
      pool.close()
    }
  }
}

function partOf({ identity: _identity, ...part }: Participants['members'][number]) {
  return part
}

async function waitUntil(at: number, signal: AbortSignal): Promise<void> {
  while (machineNow() < at && !signal.aborted) {
    await sleep(Math.min(1_000_000_000, at - machineNow()), undefined, { signal }).catch(() => {})
  }
}
