// The broker's figures as mosquitto names them below `$SYS/broker` (mosquitto(8), "Broker status"), with those of versions of MQTT
// and of Reason Codes, as text. Pure: figures and elapsed time in, topics and payloads out.
import { reasonCodeText } from '../../db/reason-v5.ts'
import type { SessionStatistics } from '../mqtt/session-statistics.ts'
import type { Traffic } from '../mqtt/traffic.ts'

export type SysStatistics = SessionStatistics & {
  version: string
  uptimeMs: number
  /** By devices. */
  retained: number
  /** Messages that wait in stored sessions, and those that devices retained; bytes as the bounds of queues count them. */
  stored: number
  storedBytes: number
  /** TCP connections that came. */
  sockets: number
  traffic: Readonly<Traffic>
}

const ROOT = '$SYS/broker'
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

/** Topics and payloads, but for averages. */
export function sysTexts(figures: SysStatistics): Map<string, string> {
  const { traffic, connected, away } = figures
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
    ['messages/stored', figures.stored],
    ['store/messages/count', figures.stored],
    ['store/messages/bytes', figures.storedBytes],
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
  // As mosquitto does, these count themselves.
  const own = below.length + 1 + loads.length * LOAD_MINUTES.length
  below.push(['retained messages/count', figures.retained + own])
  return new Map(below.map(([name, value]) => [`${ROOT}/${name}`, String(value)]))
}

/** Averages per minute over 1, 5 and 15 minutes, weighing exponentially less what is longer ago. */
export function createLoads(
  first: SysStatistics,
): (figures: SysStatistics, elapsedMs: number) => Map<string, string> {
  let before = first
  const averages = new Map<string, number>()
  return (figures, elapsedMs) => {
    const texts = new Map<string, string>()
    for (const [name, count] of loads) {
      const perMinute = elapsedMs > 0 ? ((count(figures) - count(before)) * 60_000) / elapsedMs : 0
      for (const minutes of LOAD_MINUTES) {
        const topic = `${ROOT}/load/${name}/${minutes}min`
        const kept = Math.exp(-elapsedMs / (minutes * 60_000))
        const average = perMinute + kept * ((averages.get(topic) ?? 0) - perMinute)
        averages.set(topic, average)
        texts.set(topic, average.toFixed(2))
      }
    }
    before = figures
    return texts
  }
}
