// The broker's figures as mosquitto names them below `$SYS/broker` (mosquitto(8), "Broker status"), with those of versions of MQTT
// and of Reason Codes, as text; and those of several nodes in one. Pure: figures and elapsed time in, names and payloads out.
import { reasonCodeText } from '../../db/reason-v5.ts'
import type { SessionStatistics } from '../mqtt/session-statistics.ts'
import type { Traffic } from '../mqtt/traffic.ts'

export type SysStatistics = SessionStatistics & {
  version: string
  uptimeMs: number
  /** By devices; the same at all nodes. Bytes as the bounds of queues count them. */
  retained: number
  retainedBytes: number
  /** Messages that wait in stored sessions. */
  queued: number
  queuedBytes: number
  /** TCP connections that came. */
  sockets: number
  traffic: Readonly<Traffic>
}

/** Averages per minute, by their name below the root. */
export type Loads = ReadonlyMap<string, number>

/** What one node says of itself. */
export type NodeStatistics = SysStatistics & { loads: Loads }

const LOAD_MINUTES = [1, 5, 15] as const

/** Name below `load/` and what it averages. */
const loads: readonly [string, (figures: SysStatistics) => number][] = [
  ['connections', ({ traffic }) => traffic.connects],
  ['sockets', ({ sockets }) => sockets],
  ['messages/received', ({ traffic }) => traffic.packetsReceived],
  ['messages/sent', ({ traffic }) => traffic.packetsSent],
  ['bytes/received', ({ traffic }) => traffic.bytesReceived],
  ['bytes/sent', ({ traffic }) => traffic.bytesSent],
  ['publish/received', ({ traffic }) => traffic.messagesReceived],
  ['publish/sent', ({ traffic }) => traffic.messagesSent],
  ['publish/dropped', ({ traffic }) => traffic.messagesDropped],
]

/** Payloads by their names below the root, but for the number of these. */
export function sysTexts(figures: NodeStatistics): Map<string, string> {
  const { traffic, connected, away } = figures
  const stored = figures.queued + figures.retained
  const below: [string, string | number][] = [
    ['version', `rollcall version ${figures.version}`],
    ['uptime', `${Math.floor(figures.uptimeMs / 1_000)} seconds`],
    ['clients/total', connected + away],
    ['clients/connected', connected],
    ['clients/disconnected', away],
    ['clients/maximum', figures.connectedMax],
    ['clients/expired', traffic.sessionsExpired],
    ['messages/received', traffic.packetsReceived],
    ['messages/sent', traffic.packetsSent],
    ['messages/stored', stored],
    ['store/messages/count', stored],
    ['store/messages/bytes', figures.queuedBytes + figures.retainedBytes],
    ['publish/messages/received', traffic.messagesReceived],
    ['publish/messages/sent', traffic.messagesSent],
    ['publish/messages/dropped', traffic.messagesDropped],
    ['publish/bytes/received', traffic.payloadBytesReceived],
    ['publish/bytes/sent', traffic.payloadBytesSent],
    ['bytes/received', traffic.bytesReceived],
    ['bytes/sent', traffic.bytesSent],
    ['subscriptions/count', figures.subscriptions],
  ]
  // Beside mosquitto's, which knows neither.
  for (const [protocol, count] of Object.entries(figures.byProtocol))
    below.push([`clients/connected/mqtt/${protocol}`, count])
  for (const [code, count] of traffic.disconnectsSent)
    below.push([`disconnects/sent/${reasonCodeText(code)}`, count])
  return new Map([
    ...below.map(([name, value]) => [name, String(value)] as const),
    ...[...figures.loads].map(([name, average]) => [name, average.toFixed(2)] as const),
  ])
}

/** Averages per minute over 1, 5 and 15 minutes, weighing exponentially less what is longer ago. */
export function createLoads(first: SysStatistics): (figures: SysStatistics, elapsedMs: number) => Loads {
  let before = first
  let averages: Loads = new Map()
  return (figures, elapsedMs) => {
    const next = new Map<string, number>()
    for (const [name, count] of loads) {
      const perMinute = elapsedMs > 0 ? ((count(figures) - count(before)) * 60_000) / elapsedMs : 0
      for (const minutes of LOAD_MINUTES) {
        const below = `load/${name}/${minutes}min`
        const kept = Math.exp(-elapsedMs / (minutes * 60_000))
        next.set(below, perMinute + kept * ((averages.get(below) ?? 0) - perMinute))
      }
    }
    before = figures
    averages = next
    return next
  }
}

/** All nodes as one: sums, but for the time that the first one runs, and what all retain. The first node is the one that asks. */
export function totalOf(nodes: readonly [NodeStatistics, ...NodeStatistics[]]): NodeStatistics {
  const [own] = nodes
  const sum = <Counts extends object>(of: (node: NodeStatistics) => Counts) => sumOf(nodes.map(of))
  return {
    ...sum(node => node),
    version: [...new Set(nodes.map(({ version }) => version))].sort().join(', '),
    uptimeMs: Math.max(...nodes.map(({ uptimeMs }) => uptimeMs)),
    retained: own.retained,
    retainedBytes: own.retainedBytes,
    byProtocol: sum(({ byProtocol }) => byProtocol),
    traffic: {
      ...sum(({ traffic }) => traffic),
      disconnectsSent: sumByKey(nodes.map(({ traffic }) => traffic.disconnectsSent)),
    },
    loads: sumByKey(nodes.map(node => node.loads)),
  }
}

/** Of each field that is a number. */
function sumOf<Counts extends object>(all: readonly Counts[]): Counts {
  const sums = { ...all[0]! } as Record<string, unknown>
  for (const [name, value] of Object.entries(sums))
    if (typeof value === 'number')
      sums[name] = all.reduce((sum, each) => sum + Number((each as Record<string, unknown>)[name]), 0)
  return sums as Counts
}

function sumByKey<Key>(all: readonly ReadonlyMap<Key, number>[]): Map<Key, number> {
  const sums = new Map<Key, number>()
  for (const each of all) for (const [key, count] of each) sums.set(key, (sums.get(key) ?? 0) + count)
  return sums
}
