// What happens when the engine, a gate or the revocation watch reports something: a log line, a metric, an event, a registry
// write. Decides nothing but that a takeover looks like a cloned certificate.
import type { CloneDetector } from './admission/clone-detector.ts'
import type { EventPublisher } from './events/event-publisher.ts'
import type { EventRecorder } from './events/event-recorder.ts'
import type { GatesOptions } from './gate-workers/index.ts'
import type { EngineEvents } from './mqtt/index.ts'
import type { BrokerLog } from './observability/logging.ts'
import type { BrokerMetrics } from './observability/metrics.ts'
import { traceChange } from './observability/tracing.ts'
import type { RetainedIndex } from './registry/retained-index.ts'
import type { RegistryWriteBuffer } from './registry/write-buffer.ts'
import type { BrokerSettings } from './settings/validation.ts'
import type { BrokerHistory } from './statistics/history.ts'

export function createObservers(options: {
  settings: BrokerSettings
  log: BrokerLog
  metrics: BrokerMetrics
  recorder: EventRecorder
  publisher: EventPublisher
  writeBuffer: RegistryWriteBuffer
  retainedIndex: Pick<RetainedIndex, 'changed'>
  history: Pick<BrokerHistory, 'routed' | 'publishAcknowledged'>
  cloneDetector: CloneDetector
  /** The session store failed to write. */
  onStoreFailed(error: unknown): void
  now: () => number
}) {
  const { settings, log, metrics, recorder, publisher, writeBuffer, history, cloneDetector, now } = options

  const refused: BrokerLog['refused'] = (reason, peer, detail, code) => {
    log.refused(reason, peer, detail, code)
    recorder.refused(reason, peer, code)
    writeBuffer.refusal(reason, peer)
  }

  const takenOver: BrokerLog['takenOver'] = (peer, by) => {
    log.takenOver(peer, by)
    // Two certificates of one device overlap while it renews. One certificate on both sides is a clone or a storm.
    if (peer.fingerprint === undefined || peer.fingerprint !== by.fingerprint) return
    const at = now()
    const { fingerprint } = peer
    const suspicion = cloneDetector.notice({ fingerprint, from: peer.address, to: by.address, at })
    if (suspicion === null) return
    const deviceId = peer.deviceId ?? ''
    const suspends = settings.suspendClones === 1
    log.cloned(suspicion, deviceId, suspends)
    recorder.cloned(suspicion, deviceId, suspends)
    if (suspends) writeBuffer.suspendCloned({ ...suspicion, deviceId, at })
  }

  const engine: EngineEvents = {
    ...log,
    refused,
    takenOver,
    connected(peer, clean, protocol) {
      log.connected(peer, clean, protocol)
      recorder.connected(peer, clean, protocol)
      writeBuffer.sessions(peer.deviceId ?? '')
    },
    disconnected(peer, why, codes) {
      log.disconnected(peer, why, codes)
      recorder.disconnected(peer, why, codes)
      writeBuffer.sessions(peer.deviceId ?? '')
    },
    connectionAccepted: writeBuffer.lastSeen.connectionAccepted,
    connectionEnded: writeBuffer.lastSeen.connectionEnded,
    rightDenied(session, question) {
      recorder.denied(question.action, writeBuffer.denied(session, question))
    },
    retainedChanged: options.retainedIndex.changed,
    storedSessionChanged: writeBuffer.lastSeen.storedSessionChanged,
    dropped(what, deviceId) {
      log.dropped(what, deviceId)
      if (what === 'aged') writeBuffer.lastSeen.storedSessionChanged(deviceId)
    },
    firstUse: writeBuffer.use,
    subscriptionsChanged(peer, filters, granted) {
      writeBuffer.subscriptions(peer, filters)
      publisher.subscribed(granted ?? '')
    },
    sessionExpired: () => metrics.sessionsExpired.inc(),
    publishAcknowledged(tookMs) {
      metrics.publishAcknowledgementSeconds.observe(tookMs / 1_000)
      history.publishAcknowledged(tookMs)
    },
    routed(tookMs) {
      metrics.routingSeconds.observe(tookMs / 1_000)
      history.routed(tookMs)
    },
    sessionsUnkept(error) {
      log.sessionsUnkept(error)
      options.onStoreFailed(error)
    },
  }

  const gates: GatesOptions['observer'] = {
    ...log,
    refused,
    refusalDelayed: () => metrics.refusalsDelayed.inc(),
    handshakeTook: ms => metrics.handshakeSeconds.observe(ms / 1_000),
    admissionTook: ms => metrics.admissionSeconds.observe(ms / 1_000),
    gateFigures: (gate, figures) => metrics.showProcess(`gate-${gate}`, figures),
  }

  return {
    engine,
    gates,
    nodeDrain: {
      onBegun: log.nodeDraining,
      onDrained(order: Parameters<BrokerLog['nodeDrained']>[0]) {
        log.nodeDrained(order)
        recorder.nodeDrained()
      },
      onResumed: log.nodeResumed,
    },
    /** The broker acted on all changes up to this epoch. */
    acknowledged(epoch: number, sessionsCut: number, tookMs: number, committedAt: number): void {
      const at = now()
      writeBuffer.acknowledge({ epoch, sessionsCut, at })
      metrics.cutSeconds.observe(tookMs / 1_000)
      metrics.feedLagSeconds.observe(Math.max(0, at - committedAt) / 1_000)
      metrics.feedEpoch.set(epoch)
      traceChange(epoch, sessionsCut, committedAt, at)
      log.acknowledged(epoch, sessionsCut, tookMs)
    },
  }
}
