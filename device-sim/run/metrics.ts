// The value of every metric that an expression may name, from what has been counted until now.
// Pure. Does not know what is compared with it.
import type { Histogram } from '../results/histogram.ts'
import type { Percentiles, Traffic } from '../results/sample.ts'
import type { Samples } from '../results/samples.ts'
import { connectsOf } from '../results/samples.ts'
import { addUp, noEntitled, noTraffic } from '../results/tick.ts'

type MetricSources = { samples: Samples; cut: Histogram; kept: () => number; groups: number }

/** Null where nothing was measured. `group` counts that group alone. */
export function metricValue(name: string, group: number | null, sources: MetricSources): number | null {
  const { counts, latencies } = sources.samples.total()
  const chosen = group === null ? counts.groups : [counts.groups[group]].filter(known => known !== undefined)
  const sum = (pick: (one: (typeof chosen)[number]) => number): number =>
    chosen.reduce((all, one) => all + pick(one), 0)
  const [metric = '', part = ''] = name.split('.')
  switch (metric) {
    case 'connected':
      return connectedShare(group, sources)
    case 'wronglyAdmitted':
    case 'wronglyRefused':
    case 'unproven':
      return sum(one => one[metric])
    case 'attempts':
    case 'admitted':
    case 'refused':
      return sum(one => one.connects[metric])
    case 'failures':
    case 'drops':
      return sum(one => Object.values(one[metric]).reduce((all, count) => all + count, 0))
    case 'answered':
      return counts.answered
    case 'publishRefused':
      return counts.traffic.reduce((all, { refused }) => all + refused, 0)
    case 'subscribeRefused':
      return counts.subscriptions.refused
    case 'kept':
      return sources.kept()
    case 'connect':
      return point(
        group === null ? connectsOf(counts, latencies).connects.latencyMs : latencies.connect[group]?.read(),
        part,
      )
    case 'acknowledge':
    case 'deliver':
    case 'late':
      return point(latencies[metric].read(), part)
    case 'cut':
      return point(sources.cut.read(), part)
    default: {
      const qos = /^qos([012])$/.exec(part)?.[1]
      const traffic =
        qos === undefined
          ? counts.traffic.reduce(addUp, noTraffic())
          : counts.traffic[Number(qos) as 0 | 1 | 2]
      return traffic[metric as keyof Traffic]
    }
  }
}

function connectedShare(group: number | null, { samples, groups }: MetricSources): number | null {
  const all = group === null ? Array.from({ length: groups }, (_, index) => index) : [group]
  const { awake, connected } = all.map(index => samples.entitled(index)).reduce(addUp, noEntitled())
  return awake === 0 ? null : connected / awake
}

function point(percentiles: Percentiles | undefined, name: string): number | null {
  return percentiles ? percentiles[name as keyof Percentiles] : null
}
