// What runs beside requests: it starts here, and stops with `open`.
import { prepareExpiringCount } from '../db/roll/deadlines.ts'
import { prepareRollCount } from '../db/roll/roll-count.ts'
import type { CaManager } from './ca/ca-manager.ts'
import type { ProvisioningConfig } from './config.ts'
import type { EventService } from './events/index.ts'
import { startLifecycleJob } from './lifecycle-job.ts'
import type { Log } from './logging/log.ts'
import type { OverviewService } from './overview/overview.ts'
import type { Storage } from './storage.ts'

const HOUR_MS = 3_600_000
const CA_REFRESH_MS = 1_000
/** Twice the longest life of a device certificate (825 days): time to rotate without haste. */
const CA_WARNING_MS = 2 * 825 * 24 * HOUR_MS

/** Takes the steps that are due in the life of certificates, and tells the log, the events and the overview. */
export function startLifecycle(
  open: AsyncDisposableStack,
  parts: {
    config: Pick<ProvisioningConfig, 'lifecycleJobMs' | 'now'>
    storage: Storage
    events: EventService
    overview: OverviewService
    log: Log
  },
): ReturnType<typeof startLifecycleJob> {
  const { config, storage, events, overview, log } = parts
  const job = startLifecycleJob({
    passDeadlines: async limit =>
      storage.leads() ? storage.writer.passDeadlines(limit) : { passed: [], failed: [] },
    countExpiring: prepareExpiringCount(storage.reading.sqlite),
    countRoll: prepareRollCount(storage.reading.sqlite),
    now: config.now,
    everyMs: config.lifecycleJobMs,
    onPassed(passed) {
      log.deadlinePassed(passed)
      events.deadlinePassed(passed)
    },
    onCounted(within, certificates) {
      log.expiringCounted(within, certificates)
      overview.expiring(within, certificates)
    },
    onStepFailed: log.deadlineFailed,
    onRollCounted: log.rollCounted,
    onFailed: log.lifecycleJobFailed,
  })
  open.defer(() => job.stop())
  return job
}

/** Once an hour: warns where the CA ends soon, and renews the server certificate. Gives the warning as a function. */
export function startHourlyChecks(
  open: AsyncDisposableStack,
  parts: {
    ca: CaManager['current']
    renewServerCertificate: () => Promise<void>
    log: Pick<Log, 'caLooked'>
    now: () => number
  },
): () => void {
  function checkCa(): void {
    const { id, notAfter } = parts.ca()
    parts.log.caLooked(id, notAfter, notAfter - parts.now() < CA_WARNING_MS)
  }
  checkCa()
  const timer = setInterval(() => {
    checkCa()
    void parts.renewServerCertificate()
  }, HOUR_MS)
  timer.unref()
  open.defer(() => clearInterval(timer))
  return checkCa
}

/** Looks once a second whether another service has handed over to another CA, and whether its key is here by now. */
export function startCaRefresh(
  open: AsyncDisposableStack,
  parts: {
    manager: Pick<CaManager, 'refresh'>
    /** What is due once another CA issues. Never throws. */
    followUp(): Promise<void>
    log: Pick<Log, 'caNotRefreshed'>
  },
): void {
  let following: Promise<void> = Promise.resolve()
  const timer = setInterval(() => {
    try {
      if (parts.manager.refresh()) following = parts.followUp()
    } catch (error) {
      parts.log.caNotRefreshed(error)
    }
  }, CA_REFRESH_MS)
  timer.unref()
  open.defer(async () => {
    clearInterval(timer)
    await following
  })
}
