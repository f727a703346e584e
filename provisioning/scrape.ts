// What is read when somebody asks for metrics: figures of the record and of this process, taken as they are then.
import { watchProcess } from '../admin/process-figures.ts'
import type { RegistryFigures } from '../db/registry-figures.ts'
import type { ProvisioningMetrics } from './metrics.ts'

type Scrape = { text(): Promise<string>; stop(): void }

export function createScrape(metrics: ProvisioningMetrics, figuresOf: () => RegistryFigures): Scrape {
  const own = watchProcess()
  return {
    text() {
      metrics.showProcess('provisioning', own.figures())
      try {
        show(metrics, figuresOf())
      } catch {
        // A registry that cannot be read is told by readiness; what was last read stays.
      }
      return metrics.text()
    },
    stop: own.stop,
  }
}

function show(metrics: ProvisioningMetrics, figures: RegistryFigures): void {
  const { bytes, jobs, rows } = figures
  metrics.registryBytes.set(bytes.main)
  metrics.registryLogBytes.set(bytes.log)
  metrics.freeBytes.set(bytes.free)
  metrics.feedLatest.set(figures.latestEpoch)
  metrics.brokers.set(figures.brokers)
  metrics.feedUnacknowledged.set(figures.unacknowledged)
  metrics.jobs.set({ state: 'waiting' }, jobs.waiting)
  metrics.jobs.set({ state: 'running' }, jobs.running)
  metrics.jobRows.set({ state: 'done' }, rows.done)
  metrics.jobRows.set({ state: 'left' }, rows.total - rows.done)
}
