// Which curves the report draws: titles, units and values by point, ready for draw.js.
// Pure. A curve that is nothing but zeros is left out; a chart without curves says so.
import type { Percentiles, Refusals, Sample, Traffic } from '../../results/sample.ts'
import { addUp } from '../../results/tick.ts'
import { plain } from '../figures.ts'

/** `tone` names a colour of the style sheet. */
type Curve = { label: string; tone: string; hidden?: true; values: (number | null)[] }
export type Chart = { title: string; note: string; unit: '' | '/s' | 'ms' | '%' | 'MiB'; curves: Curve[] }
type Charts = { seconds: number[]; charts: Chart[] }

const REASONS_MAX = 7
const reasonTones = ['blue', 'orange', 'teal', 'purple', 'yellow', 'pink', 'brown']

export function chartsOf(points: readonly Sample[]): Charts {
  const curve = (label: string, tone: string, value: (point: Sample) => number | null): Curve => ({
    label,
    tone,
    values: points.map(point => significant(value(point))),
  })
  const perSecond = (label: string, tone: string, value: (point: Sample) => number): Curve =>
    curve(label, tone, point => value(point) / point.seconds)
  const traffic = (of: keyof Traffic, point: Sample): number =>
    point.traffic.qos0[of] + point.traffic.qos1[of] + point.traffic.qos2[of]
  const troubles = troubleTones.map(([of, tone]) => perSecond(of, tone, point => traffic(of, point)))
  const charts: Chart[] = [
    {
      title: 'Sessions',
      note: 'Devices by what they are doing.',
      unit: '',
      curves: [
        curve('connected', 'blue', ({ population }) => population.connected),
        ...happened([
          curve('connecting', 'teal', ({ population }) => population.connecting),
          curve('waiting', 'orange', ({ population }) => population.waiting),
          curve('asleep', 'purple', ({ population }) => population.asleep),
          curve('idle', 'grey', ({ population }) => population.idle),
        ]),
      ],
    },
    {
      title: 'Connects',
      note: 'Attempts that ended, per second.',
      unit: '/s',
      curves: happened([
        perSecond('admitted', 'blue', ({ connects }) => connects.admitted),
        perSecond('refused', 'orange', ({ connects }) => connects.refused),
        perSecond('failed', 'purple', ({ connects }) => connects.failed),
        perSecond('dropped', 'yellow', ({ drops }) => sumOf(drops)),
        perSecond('wrongly refused', 'red', point => point.wronglyRefused),
        perSecond('wrongly admitted', 'pink', point => point.wronglyAdmitted),
      ]),
    },
    latency(
      'Connect latency',
      'From the time an attempt was due to CONNACK 0.',
      point => point.connects.latencyMs,
    ),
    latency(
      'Acknowledge latency',
      'From the time a message was due to PUBACK or PUBCOMP.',
      point => point.acknowledgeMs,
    ),
    latency(
      'Delivery latency',
      'From the time a message was due to its subscriber.',
      point => point.deliverMs,
    ),
    {
      title: 'Messages sent',
      note: 'Per second and QoS.',
      unit: '/s',
      curves: happened(qosTones.map(([qos, tone]) => perSecond(qos, tone, point => point.traffic[qos].sent))),
    },
    {
      title: 'Messages received',
      note: 'By simulated subscribers, per second and QoS of the delivery.',
      unit: '/s',
      curves: happened(
        qosTones.map(([qos, tone]) => perSecond(qos, tone, point => point.traffic[qos].received)),
      ),
    },
    {
      title: 'Payload bytes',
      note: 'KiB per second, of messages sent and received.',
      unit: '/s',
      curves: happened([
        perSecond('sent', 'blue', point => traffic('sentBytes', point) / 1024),
        perSecond('received', 'teal', point => traffic('receivedBytes', point) / 1024),
      ]),
    },
    {
      title: 'Loss, duplicates, disorder',
      note: 'Per second. Missed was due, but not sent. Losses are known at the end.',
      unit: '/s',
      curves: happened(troubles),
    },
    {
      title: 'Refusals',
      note: 'Per second, by what the device saw.',
      unit: '/s',
      curves: ranked(points, ({ refusals }) => timesSeen(refusals)).map(({ label, of }, index) =>
        perSecond(label, reasonTones[index] ?? 'grey', of),
      ),
    },
    {
      title: 'Reason Codes',
      note: 'Of MQTT 5, per second: everything that is no success.',
      unit: '/s',
      curves: ranked(points, ({ reasons }) => unsuccessful(reasons)).map(({ label, of }, index) =>
        perSecond(label, reasonTones[index] ?? 'grey', of),
      ),
    },
    {
      title: 'CPU of watched processes',
      note: 'Of --watch-pid, together: 100 % is one CPU.',
      unit: '%',
      curves: happened([curve('CPU', 'blue', ({ watched }) => (watched ? watched.cpu * 100 : null))]),
    },
    {
      title: 'Memory of watched processes',
      note: 'Resident, together.',
      unit: 'MiB',
      curves: happened([
        curve('resident', 'blue', ({ watched }) => (watched ? watched.rssBytes / 1_048_576 : null)),
      ]),
    },
    {
      title: 'The simulator itself',
      note: 'Near 100 % of a CPU, or late by much, latencies are its own.',
      unit: '%',
      curves: [
        curve('busiest process', 'blue', ({ tool }) => tool.cpuBusiest * 100),
        curve('all processes', 'grey', ({ tool }) => tool.cpuTotal * 100),
      ],
    },
    latency(
      'Lateness of the simulator',
      'From when something was due to when it was begun.',
      point => point.tool.lateMs,
    ),
    {
      title: 'Memory of the simulator',
      note: 'Resident, all processes together.',
      unit: 'MiB',
      curves: [curve('resident', 'blue', ({ tool }) => tool.rssBytes / 1_048_576)],
    },
  ]
  return { seconds: points.map(({ elapsedSeconds }) => elapsedSeconds), charts }

  function latency(title: string, note: string, of: (point: Sample) => Percentiles): Chart {
    const curves = [
      // The last one is drawn on top: of a noisy hour the maxima would hide everything else.
      curve('max', 'red', point => of(point).max),
      curve('p99', 'orange', point => of(point).p99),
      curve('p95', 'blue', point => of(point).p95),
      curve('p50', 'teal', point => of(point).p50),
      { ...curve('min', 'grey', point => of(point).min), hidden: true as const },
      { ...curve('p90', 'purple', point => of(point).p90), hidden: true as const },
    ]
    return { title, note, unit: 'ms', curves: points.some(point => of(point).count > 0) ? curves : [] }
  }
}

const qosTones = [
  ['qos0', 'teal'],
  ['qos1', 'blue'],
  ['qos2', 'orange'],
] as const

const troubleTones = [
  ['missed', 'yellow'],
  ['unacknowledged', 'red'],
  ['duplicated', 'purple'],
  ['reordered', 'blue'],
  ['refused', 'orange'],
  ['altered', 'pink'],
  ['expired', 'brown'],
] as const

function timesSeen(refusals: Refusals): Record<string, number> {
  const times = Object.entries(refusals).map(([saw, { expected, unexpected }]) => [
    saw,
    expected + unexpected,
  ])
  return Object.fromEntries(times)
}

function unsuccessful(reasons: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(reasons).filter(([name]) => !/_0x0[0-2]$/.test(name)))
}

/** The most frequent by name, all others together. */
function ranked(
  points: readonly Sample[],
  countsOf: (point: Sample) => Record<string, number>,
): { label: string; of: (point: Sample) => number }[] {
  const times = (point: Sample, name: string): number => countsOf(point)[name] ?? 0
  const all = points.map(countsOf).reduce(addUp, {})
  const ranking = Object.keys(all).toSorted((a, b) => (all[b] ?? 0) - (all[a] ?? 0))
  const named = ranking.slice(0, REASONS_MAX)
  const rest = ranking.slice(REASONS_MAX)
  const shown = named.map(saw => ({ label: plain(saw), of: (point: Sample) => times(point, saw) }))
  if (rest.length === 0) return shown
  const others = (point: Sample): number => rest.reduce((sum, saw) => sum + times(point, saw), 0)
  return [...shown, { label: `${rest.length} others`, of: others }]
}

function happened(curves: Curve[]): Curve[] {
  return curves.filter(({ values }) => values.some(value => value !== null && value !== 0))
}

function sumOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, one) => sum + one, 0)
}

/** Four digits: more than a pixel shows, and a fraction of the bytes. */
function significant(value: number | null): number | null {
  return value === null ? null : Number(value.toPrecision(Math.abs(value) >= 10_000 ? 7 : 4))
}
