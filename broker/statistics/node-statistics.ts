// The statistics of the other nodes: each tells its own over the bus, again and again, and is forgotten where it ends or says nothing for a
// while. Whatever bytes come, they are statistics or nothing.
import type { Cluster } from '../mqtt/cluster/index.ts'
import { newTraffic } from '../mqtt/traffic.ts'
import type { Loads, NodeStatistics } from './sys-statistics.ts'

/** A node that was not heard for so many of its intervals is forgotten. */
const SILENT_INTERVALS = 3
const EVERY_MS_MAX = 3_600_000
const BYTES_MAX = 65_536
const NAME_MAX = 256
/** As many as may share a registry. */
const NODES_MAX = 64
const LOADS_MAX = 100
/** Of a load, for it is a topic. */
const LOAD_NAME = /^load(\/[a-z]{1,20}){1,3}\/\d{1,3}min$/

/** `from` is the life of the node: a later one has a larger number. `everyMs` is how often it tells. */
export type NodeReport = { from: number; name: string; everyMs: number; statistics: NodeStatistics }

export type OtherNodes = {
  /** Of this node. */
  name: string
  /** Tells the others, and gives what they have told. */
  exchange(own: NodeStatistics): { name: string; statistics: NodeStatistics }[]
  stop(): void
}

export function openOtherNodes({
  cluster,
  name,
  everyMs,
}: {
  cluster: Pick<Cluster, 'me' | 'hasEnded'> & { bus: Pick<Cluster['bus'], 'connection' | 'prefix'> }
  name: string
  everyMs: number
}): OtherNodes {
  const { me, hasEnded } = cluster
  const { connection, prefix } = cluster.bus
  const subject = `${prefix}.f`
  const heard = new Map<string, { report: NodeReport; until: number }>()

  function isCurrent(report: NodeReport): boolean {
    const last = heard.get(report.name)
    if (report.name === name || hasEnded(report.from)) return false
    return last === undefined ? heard.size < NODES_MAX : report.from >= last.report.from
  }

  const subscription = connection.subscribe(subject, {
    callback(error, { data }) {
      const report = error === null ? decodeReport(data) : null
      if (report === null || !isCurrent(report)) return
      const until = performance.now() + SILENT_INTERVALS * report.everyMs
      heard.set(report.name, { report, until })
    },
  })

  return {
    name,
    exchange(statistics) {
      if (!connection.isClosed())
        connection.publish(subject, encodeReport({ from: me, name, everyMs, statistics }))
      const now = performance.now()
      for (const [each, { report, until }] of heard)
        if (now > until || hasEnded(report.from)) heard.delete(each)
      return [...heard.values()].map(({ report }) => report)
    },
    stop: () => subscription.unsubscribe(),
  }
}

export function encodeReport({ statistics, ...report }: NodeReport): Buffer {
  const { loads, traffic, ...counts } = statistics
  const disconnectsSent = [...traffic.disconnectsSent]
  const own = { ...counts, traffic: { ...traffic, disconnectsSent }, loads: [...loads] }
  return Buffer.from(JSON.stringify({ ...report, statistics: own }))
}

/** Null where these bytes are none. A count that a node of another version does not tell is 0. */
export function decodeReport(bytes: Uint8Array): NodeReport | null {
  if (bytes.length > BYTES_MAX) return null
  try {
    const { from, name, everyMs, statistics } = record(JSON.parse(Buffer.from(bytes).toString()))
    return {
      from: amount(from),
      name: text(name),
      everyMs: Math.min(amount(everyMs), EVERY_MS_MAX),
      statistics: statisticsOf(record(statistics)),
    }
  } catch {
    return null
  }
}

function statisticsOf(told: Record<string, unknown>): NodeStatistics {
  const traffic = record(told['traffic'])
  const codes = pairs(traffic['disconnectsSent'], 256).map(
    ([code, times]) => [octet(code), amount(times)] as const,
  )
  const averages = pairs(told['loads'], LOADS_MAX).map(
    ([name, value]) => [loadName(name), amount(value)] as const,
  )
  return {
    ...counts(NONE, told),
    version: text(told['version']),
    byProtocol: counts({ '3.1': 0, '3.1.1': 0, '5': 0 }, record(told['byProtocol'])),
    traffic: { ...counts(newTraffic(), traffic), disconnectsSent: new Map(codes) },
    loads: new Map(averages) satisfies Loads,
  }
}

const NONE = {
  ...{ uptimeMs: 0, connected: 0, connectedMax: 0, away: 0, subscriptions: 0, sockets: 0 },
  ...{ retained: 0, retainedBytes: 0, queued: 0, queuedBytes: 0 },
}

/** The numbers of this shape, each as it is told. Throws where one is no number. */
function counts<Shape extends object>(shape: Shape, told: Record<string, unknown>): Shape {
  const numbers = Object.entries(shape).filter(([, value]) => typeof value === 'number')
  return { ...shape, ...Object.fromEntries(numbers.map(([name]) => [name, amount(told[name] ?? 0)])) }
}

function record(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) throw new TypeError('an object is expected')
  return value as Record<string, unknown>
}

function pairs(value: unknown, max: number): [unknown, unknown][] {
  const isList = Array.isArray(value) && value.length <= max
  if (!isList || !value.every(Array.isArray)) throw new TypeError('a list of pairs is expected')
  return value as [unknown, unknown][]
}

/** A count or an average. */
function amount(value: unknown): number {
  if (typeof value !== 'number' || !(value >= 0 && value <= Number.MAX_SAFE_INTEGER))
    throw new TypeError('a number is expected')
  return value
}

function octet(value: unknown): number {
  if (!Number.isInteger(value) || amount(value) > 255) throw new TypeError('an octet is expected')
  return value as number
}

function text(value: unknown): string {
  if (typeof value !== 'string' || value.length === 0 || value.length > NAME_MAX)
    throw new TypeError('a short text is expected')
  return value
}

function loadName(value: unknown): string {
  if (typeof value !== 'string' || !LOAD_NAME.test(value)) throw new TypeError('a load is expected')
  return value
}
