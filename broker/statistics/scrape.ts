// Reads the gauges when metrics are requested. All are counters kept by other parts; nothing here iterates over sessions.
import type { Counter } from '@prometheus-io/client'
import { watchProcess } from '../../admin/process-figures.ts'
import type { BrokerReplica } from '../../db/replication/broker-replica.ts'
import { storeBytes } from '../../db/store-size.ts'
import type { Limits } from '../gate/limits/connection-limits.ts'
import type { Cluster } from '../mqtt/cluster/index.ts'
import type { Engine } from '../mqtt/index.ts'
import type { BrokerMetrics } from '../observability/metrics.ts'

type ScrapeOptions = {
  metrics: BrokerMetrics
  engine: Pick<Engine, 'sessions' | 'queued' | 'traffic'>
  limits: Limits & { counts(): { connections: number; handshakes: number; waiting: number } }
  healthy(): boolean
  /** The file of stored sessions; null where they are kept in memory alone. */
  sessionFile: string | null
  /** Whether an operator has drained this broker. */
  isDrained(): boolean
  /** Null on one machine. */
  replica: Pick<BrokerReplica, 'sequence' | 'ageMs'> | null
  /** Null without a bus. */
  cluster: Cluster['figures'] | null
}

type Scrape = { text(): Promise<string>; stop(): void }

export function createScrape({
  metrics,
  engine,
  limits,
  healthy,
  sessionFile,
  replica,
  cluster,
  isDrained,
}: ScrapeOptions): Scrape {
  const own = watchProcess()
  return {
    text() {
      metrics.sessions.set(engine.sessions.size())
      for (const [protocol, count] of Object.entries(engine.sessions.connected().byProtocol))
        metrics.mqttSessions.set({ protocol }, count)
      const { queuedMessages, queuedBytes, retained, retainedBytes } = engine.queued()
      metrics.queuedMessages.set(queuedMessages)
      metrics.queuedBytes.set(queuedBytes)
      metrics.retainedMessages.set(retained)
      metrics.retainedBytes.set(retainedBytes)
      showTotal(metrics.messages, engine.traffic.messagesAccepted)
      showTotal(metrics.messagesSent, engine.traffic.messagesSent)
      showTotal(metrics.bytesReceived, engine.traffic.bytesReceived)
      showTotal(metrics.bytesSent, engine.traffic.bytesSent)
      metrics.nodeDrained.set(isDrained() ? 1 : 0)
      metrics.registryReadable.set(healthy() ? 1 : 0)
      if (replica !== null) {
        metrics.replicaSequence.set(replica.sequence())
        metrics.replicaAge.set(replica.ageMs() / 1000)
      }
      if (cluster !== null) {
        const { isBusUp, received, readFromLog } = cluster()
        metrics.busConnected.set(isBusUp ? 1 : 0)
        showTotal(metrics.busReceived, received)
        showTotal(metrics.busReadFromLog, readFromLog)
      }
      const { connections, handshakes, waiting } = limits.counts()
      metrics.connections.set(connections)
      metrics.handshakes.set(handshakes)
      metrics.handshakesWaiting.set(waiting)
      const { main, log } = sessionFile === null ? { main: 0, log: 0 } : storeBytes(sessionFile)
      metrics.sessionStoreBytes.set(main + log)
      metrics.showProcess('broker', own.figures())
      return metrics.registry.metrics()
    },
    stop: own.stop,
  }
}

function showTotal(counter: Counter, total: number): void {
  counter.reset()
  counter.inc(total)
}
