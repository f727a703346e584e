// A run from end to end: enroll, ramp up, stay, send in the rogues, end, report. Holds the order of things and
// leaves each of them to its own room.
import { type Api, createApi } from './api.ts'
import { type Enrollment, type EnrollmentOptions, enrollFleet, obtainIdentity } from './enrollment.ts'
import { createFleet } from './fleet.ts'
import type { Identity } from './identity.ts'
import { openIdentityStore } from './identity-store.ts'
import { createMeasurements } from './measurements.ts'
import { deviceIdAt, type SimOptions } from './options.ts'
import { createSchedule, type Schedule } from './pace.ts'
import type { Progress } from './progress.ts'
import { type Report, summarize } from './report.ts'
import { proveRefusals, type RogueProof } from './rogue-proof.ts'
import { prepareRogues, type Rogue } from './rogues.ts'
import type { Target } from './target.ts'
import { judge } from './verdict.ts'

export type Surroundings = {
  progress: Progress
  /** Aborted to end the run early; it still ends with its report. */
  signal: AbortSignal
  random?: () => number
}

const JITTER = 0.1
const DRAIN_MS = 5_000
const ROGUES_WAIT_FOR_VICTIM_MS = 10_000

/**
 * Runs a simulation.
 * @throws RunFailed where it could not be carried out at all.
 */
export async function simulate(
  options: SimOptions,
  target: Target,
  surroundings: Surroundings,
): Promise<Report> {
  const { progress, signal, random = Math.random } = surroundings
  const startedAt = new Date()
  const schedule = createSchedule()
  const { output: _output, yes: _yes, ...plan } = options
  warnOfDescriptors(options.devices, progress)
  try {
    const cast = await assemble(options, target, surroundings)
    const measurements = createMeasurements()
    const behaviour = { ...options, jitter: JITTER }
    const fleet = createFleet(cast.enrollment?.identities ?? [], {
      broker: target.broker,
      schedule,
      measurements,
      behaviour,
      random,
    })
    const rampAt = schedule.now()
    const rampMs = (fleet.size * 1000) / options.rate
    let phase = 'connecting'
    progress.watch({
      size: fleet.size,
      measurements,
      phase: () => phase,
      fraction: () => (schedule.now() - rampAt) / (rampMs + options.durationMs),
    })
    await fleet.rampUp(options.rate, signal)
    const rampSeconds = round((schedule.now() - rampAt) / 1000)
    phase = 'running'
    const steadyUntil = schedule.now() + options.durationMs
    const [proof] = await Promise.all([
      cast.rogues && !signal.aborted
        ? sendInRogues(cast.rogues, options, target, schedule, signal, () => measurements.admitted > 0)
        : null,
      schedule.wait(steadyUntil, signal),
    ])
    const fates = fleet.fates()
    phase = 'ending'
    await fleet.end(signal.aborted ? Math.min(DRAIN_MS, 1_000) : DRAIN_MS)
    return {
      report: 'rollcall-sim',
      version: 1,
      startedAt: startedAt.toISOString(),
      endedAt: new Date().toISOString(),
      interrupted: signal.aborted,
      target: { broker: target.broker.url, api: target.apiUrl },
      options: plan,
      enrollment: cast.enrollment && {
        reused: cast.enrollment.reused,
        enrolled: cast.enrollment.enrolled,
        causes: cast.enrollment.causes,
        apiRetries: cast.apiRetries,
        seconds: cast.seconds,
      },
      devices: { total: options.devices, atEnd: fates },
      ...summarize(measurements, options.qos, rampSeconds),
      rogues: proof,
      self: ownCost(),
      verdict: judge({
        interrupted: signal.aborted,
        fates,
        lost: measurements.lost,
        subscribeRefused: measurements.subscribeRefused,
        roguesWanted: options.rogues,
        proof,
      }),
    }
  } finally {
    progress.end()
    schedule.close()
  }
}

type Cast = {
  /** Null where enrollment was interrupted. */
  enrollment: Enrollment | null
  rogues: { control: Identity; rogues: Rogue[] } | null
  apiRetries: number
  seconds: number
}

/** Everybody who takes part, honest or not, with their identities. */
async function assemble(
  options: SimOptions,
  target: Target,
  { progress, signal }: Surroundings,
): Promise<Cast> {
  const startedAt = performance.now()
  const store = await openIdentityStore(target.keysDir, target.apiUrl)
  const api: Api = createApi({
    url: target.apiUrl,
    token: target.token,
    ca: target.ca,
    connectionsMax: options.enrollConcurrency,
    signal,
  })
  const runMs = (options.devices * 1000) / options.rate + options.durationMs
  const enrolling: EnrollmentOptions = {
    api,
    store,
    keyType: options.keyType,
    concurrency: options.enrollConcurrency,
    neededUntil: new Date(Date.now() + runMs + 600_000),
    signal,
    onProgress: (done, total) => progress.step('enrolling', done, total),
  }
  const seconds = (): number => round((performance.now() - startedAt) / 1000)
  try {
    const ids = Array.from({ length: options.devices }, (_, index) => deviceIdAt(options.prefix, index))
    const enrollment = await enrollFleet(ids, enrolling)
    const victim = enrollment.identities[0]
    if (options.rogues === 0 || !victim || signal.aborted) {
      return { enrollment, rogues: null, apiRetries: api.retries(), seconds: seconds() }
    }
    const control = (await obtainIdentity(`${options.prefix}rogue-control`, enrolling)).identity
    const rogues = await prepareRogues(options.rogues, options.prefix, victim, enrolling)
    return { enrollment, rogues: { control, rogues }, apiRetries: api.retries(), seconds: seconds() }
  } catch (error) {
    if (!signal.aborted) throw error
    return { enrollment: null, rogues: null, apiRetries: api.retries(), seconds: seconds() }
  } finally {
    api.close()
  }
}

async function sendInRogues(
  { control, rogues }: NonNullable<Cast['rogues']>,
  options: SimOptions,
  target: Target,
  schedule: Schedule,
  signal: AbortSignal,
  victimIsIn: () => boolean,
): Promise<RogueProof> {
  // Stealing a client ID is a better test while its owner is there; a broker that is down is not waited for long.
  const deadline = schedule.now() + Math.min(ROGUES_WAIT_FOR_VICTIM_MS, options.connectTimeoutMs)
  while (!victimIsIn() && schedule.now() < deadline && !signal.aborted) {
    await schedule.wait(schedule.now() + 20, signal)
  }
  const { connectTimeoutMs } = options
  return proveRefusals(rogues, { broker: target.broker, control, schedule, connectTimeoutMs, signal })
}

function ownCost(): Report['self'] {
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage()
  return { cpuSeconds: round((userCPUTime + systemCPUTime) / 1e6), rssMaxBytes: maxRSS * 1024 }
}

/** The tool's own limit is said aloud before it looks like the broker's. */
function warnOfDescriptors(devices: number, progress: Progress): void {
  if (!process.report || devices < 1_000) return
  // The network section looks up names, which may take seconds.
  Object.assign(process.report, { excludeNetwork: true })
  const report = process.report.getReport() as { userLimits?: { open_files?: { soft?: number | string } } }
  const limit = Number(report.userLimits?.open_files?.soft)
  if (limit < devices + 200) {
    progress.note(
      `this process may open ${limit} files, too few for ${devices} devices: raise it with ulimit -n`,
    )
  }
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000
}
