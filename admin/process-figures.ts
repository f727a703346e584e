// How a process itself is doing: CPU, memory, descriptors, and how late its event loop comes. One family for all processes,
// told apart by a `process` label. Counts nothing by walking it: with 100,000 connections open that alone would stall them.
import { readFileSync, statSync } from 'node:fs'
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { Counter, Gauge, type Registry } from '@prometheus-io/client'

/** Plain data: a gate's process sends its own to the engine's. */
export type ProcessFigures = {
  startedAtSeconds: number
  cpuSeconds: number
  residentBytes: number
  heapUsedBytes: number
  /** How long the event loop was busy since the process began. */
  busySeconds: number
  /** Of the last whole window of ten seconds. */
  lagSeconds: { p50: number; p99: number; max: number }
  /** Null where this system does not say. */
  openDescriptors: number | null
  descriptorsMax: number | null
}

export type ProcessWatch = { figures(): ProcessFigures; stop(): void }

const WINDOW_MS = 10_000
const RESOLUTION_MS = 20

/** Begins to watch this process. */
export function watchProcess(): ProcessWatch {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  delay.enable()
  let last: ProcessFigures['lagSeconds'] | null = null
  const timer = setInterval(() => {
    last = lagOf(delay)
    delay.reset()
  }, WINDOW_MS)
  timer.unref()
  const descriptorsMax = descriptorLimit()
  return {
    figures() {
      const { user, system } = process.cpuUsage()
      return {
        startedAtSeconds: performance.timeOrigin / 1_000,
        cpuSeconds: (user + system) / 1e6,
        residentBytes: process.memoryUsage.rss(),
        heapUsedBytes: process.memoryUsage().heapUsed,
        busySeconds: performance.eventLoopUtilization().active / 1_000,
        lagSeconds: last ?? lagOf(delay),
        openDescriptors: openDescriptors(),
        descriptorsMax,
      }
    },
    stop() {
      clearInterval(timer)
      delay.disable()
    },
  }
}

/** The families, on a registry; shown once for each process. */
export function createProcessMetrics(registry: Registry) {
  const family = (name: string, help: string) => ({
    name,
    help,
    labelNames: ['process'] as const,
    registers: [registry],
  })
  const started = new Gauge(family('rollcall_process_start_time_seconds', 'When it began, since the epoch'))
  const cpu = new Counter(family('rollcall_process_cpu_seconds_total', 'CPU time, user and system'))
  const resident = new Gauge(family('rollcall_process_resident_bytes', 'Memory it holds'))
  const heap = new Gauge(family('rollcall_process_heap_used_bytes', 'JavaScript objects in it'))
  const busy = new Counter(
    family('rollcall_event_loop_busy_seconds_total', 'How long its event loop was busy'),
  )
  const open = new Gauge(family('rollcall_process_open_descriptors', 'Descriptors it has open'))
  const openMax = new Gauge(family('rollcall_process_descriptors_max', 'Descriptors it may open'))
  const lag = new Gauge({
    name: 'rollcall_event_loop_lag_seconds',
    help: 'How late its event loop comes, in the last ten seconds',
    labelNames: ['process', 'quantile'] as const,
    registers: [registry],
  })

  return function show(name: string, figures: ProcessFigures): void {
    const which = { process: name }
    started.set(which, figures.startedAtSeconds)
    setTotal(cpu, which, figures.cpuSeconds)
    setTotal(busy, which, figures.busySeconds)
    resident.set(which, figures.residentBytes)
    heap.set(which, figures.heapUsedBytes)
    if (figures.openDescriptors !== null) open.set(which, figures.openDescriptors)
    if (figures.descriptorsMax !== null) openMax.set(which, figures.descriptorsMax)
    const { p50, p99, max } = figures.lagSeconds
    for (const [quantile, seconds] of [['0.5', p50] as const, ['0.99', p99] as const, ['1', max] as const])
      lag.set({ ...which, quantile }, seconds)
  }
}

/** Somebody else counts: a process that began anew begins at nothing. */
function setTotal(counter: Counter<'process'>, which: { process: string }, total: number): void {
  counter.remove(which)
  counter.inc(which, total)
}

/** Beyond the pace at which it looks, which is no lateness. */
function lagOf(delay: ReturnType<typeof monitorEventLoopDelay>): ProcessFigures['lagSeconds'] {
  const seconds = (nanoseconds: number) =>
    delay.count === 0 ? 0 : Math.max(0, nanoseconds / 1e9 - RESOLUTION_MS / 1_000)
  return { p50: seconds(delay.percentile(50)), p99: seconds(delay.percentile(99)), max: seconds(delay.max) }
}

/** Linux has told the number as the size of the directory since 6.2; reading its entries would take long where there are many. */
function openDescriptors(): number | null {
  try {
    const { size } = statSync('/proc/self/fd')
    return size > 0 ? size : null
  } catch {
    return null
  }
}

function descriptorLimit(): number | null {
  try {
    const limit = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]
    return limit === undefined ? null : Number(limit)
  } catch {
    return null
  }
}
