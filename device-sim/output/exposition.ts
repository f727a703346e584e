// A run as Prometheus sees it: counters that add up over the run, gauges of the latest second. Base units; labels carry
// what devices saw, QoS and stages, never a device, group or topic. Served by the admin room on loopback.
import { Counter, Gauge, Registry } from '@prometheus-io/client'
import type { RunListener } from '../results/run-listeners.ts'
import type { Percentiles } from '../results/sample.ts'

export type Exposition = RunListener & { text(): Promise<string> }

const quantiles = [
  ['0.5', 'p50'],
  ['0.9', 'p90'],
  ['0.95', 'p95'],
  ['0.99', 'p99'],
  ['1', 'max'],
] as const

export function createExposition(): Exposition {
  const registry = new Registry()
  const registers = [registry]
  const counter = <Label extends string>(name: string, help: string, ...labelNames: Label[]) =>
    new Counter({ name: `rollcall_sim_${name}_total`, help, labelNames, registers })
  const gauge = <Label extends string>(name: string, help: string, ...labelNames: Label[]) =>
    new Gauge({ name: `rollcall_sim_${name}`, help, labelNames, registers })

  const devices = gauge('devices', 'Devices by what they are doing', 'state')
  const stage = gauge('stage', '1 for the stage that goes on', 'stage')
  const elapsed = gauge('elapsed_seconds', 'Since the start of the run')
  const latency = gauge(
    'latency_seconds',
    'Of the latest second, from when it was due; quantile 1 is the maximum',
    'of',
    'quantile',
  )
  const cpuBusiest = gauge('cpu_busiest_ratio', 'CPU seconds per second of the busiest worker process')
  const resident = gauge('resident_memory_bytes', 'Of all worker processes')
  const watchedCpu = gauge('watched_cpu_ratio', 'CPU seconds per second of the processes of --watch-pid')
  const watchedMemory = gauge('watched_resident_memory_bytes', 'Of the processes of --watch-pid')
  const connects = counter('connects', 'Attempts that ended, by how', 'outcome')
  const refusals = counter(
    'refusals',
    'Devices turned away, by what they saw and whether they should have been',
    'saw',
    'expected',
  )
  const wronglyAdmitted = counter('wrongly_admitted', 'Let in, or kept in, without a right')
  const wronglyRefused = counter('wrongly_refused', 'Turned away although they had a right')
  const failures = counter('failures', 'Attempts that prove nothing, by what was seen', 'saw')
  const drops = counter('drops', 'Sessions that ended without the device wanting it, by cause', 'cause')
  const reasons = counter('reason_codes', 'Of MQTT 5, by the packet that brought them', 'packet', 'code')
  const messages = counter('messages', 'By QoS and what became of them', 'qos', 'event')
  const payload = counter('payload_bytes', 'Of payloads sent and received', 'qos', 'direction')
  const cpu = counter('cpu_seconds', 'CPU of all worker processes')

  function measure(of: string, percentiles: Percentiles): void {
    for (const [quantile, name] of quantiles) {
      const ms = percentiles[name]
      if (ms !== null) latency.set({ of, quantile }, ms / 1000)
    }
  }

  return {
    sample(sample) {
      const { total: _total, ...states } = sample.population
      for (const [state, amount] of Object.entries(states)) devices.set({ state }, amount)
      stage.reset()
      stage.set({ stage: sample.stage }, 1)
      elapsed.set(sample.elapsedSeconds)
      for (const outcome of ['admitted', 'refused', 'failed'] as const) {
        connects.inc({ outcome }, sample.connects[outcome])
      }
      for (const [saw, { expected, unexpected }] of Object.entries(sample.refusals)) {
        refusals.inc({ saw, expected: 'true' }, expected)
        refusals.inc({ saw, expected: 'false' }, unexpected)
      }
      wronglyAdmitted.inc(sample.wronglyAdmitted)
      wronglyRefused.inc(sample.wronglyRefused)
      for (const [saw, times] of Object.entries(sample.failures)) failures.inc({ saw }, times)
      for (const [cause, times] of Object.entries(sample.drops)) drops.inc({ cause }, times)
      for (const [reason, times] of Object.entries(sample.reasons)) {
        const [packet = '', code = ''] = reason.split('_')
        reasons.inc({ packet, code }, times)
      }
      for (const [name, { lost: _lost, sentBytes, receivedBytes, ...traffic }] of Object.entries(
        sample.traffic,
      )) {
        const qos = name.slice(3)
        payload.inc({ qos, direction: 'sent' }, sentBytes)
        payload.inc({ qos, direction: 'received' }, receivedBytes)
        for (const [event, amount] of Object.entries(traffic)) messages.inc({ qos, event }, amount)
      }
      latency.reset()
      measure('connect', sample.connects.latencyMs)
      measure('acknowledge', sample.acknowledgeMs)
      measure('deliver', sample.deliverMs)
      measure('late', sample.tool.lateMs)
      if (sample.watched) {
        watchedCpu.set(sample.watched.cpu)
        watchedMemory.set(sample.watched.rssBytes)
      }
      cpuBusiest.set(sample.tool.cpuBusiest)
      resident.set(sample.tool.rssBytes)
      cpu.inc(sample.tool.cpuTotal * sample.seconds)
    },
    text: () => registry.metrics(),
  }
}
