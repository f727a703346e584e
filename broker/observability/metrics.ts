// The broker's counters and histograms. Base units; labels carry reasons, never devices, topics or serial numbers.
import { Counter, Gauge, Histogram, Registry } from '@prometheus-io/client'
import { createBuildInfo } from '../../admin/build-info.ts'
import { createProcessMetrics } from '../../admin/process-figures.ts'
import { reasonCodes } from '../../db/reason.ts'
import { protocolNames } from '../../db/roll/live-sessions.ts'
import { cloneKinds } from '../admission/clone-detector.ts'

export type BrokerMetrics = ReturnType<typeof createMetrics>

const LATENCIES = [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]

export function createMetrics() {
  const registry = new Registry()
  const registers = [registry]
  createBuildInfo(registry, 'broker')
  const metrics = {
    registry,
    /** Shows the figures of one of the broker's processes. */
    showProcess: createProcessMetrics(registry),
    admissions: new Counter({ name: 'rollcall_admissions_total', help: 'Connections admitted', registers }),
    refusals: new Counter({
      name: 'rollcall_refusals_total',
      help: 'Connections refused, by reason',
      labelNames: ['reason'] as const,
      registers,
    }),
    refusalsDelayed: new Counter({
      name: 'rollcall_refusals_delayed_total',
      help: 'Refusals of certificates that are refused again and again: closed later, or unanswered',
      registers,
    }),
    cuts: new Counter({
      name: 'rollcall_cuts_total',
      help: 'Live sessions cut, by reason',
      labelNames: ['reason'] as const,
      registers,
    }),
    denials: new Counter({
      name: 'rollcall_denials_total',
      help: 'Publishes and subscriptions denied, by reason',
      labelNames: ['reason'] as const,
      registers,
    }),
    clones: new Counter({
      name: 'rollcall_clones_suspected_total',
      help: 'Certificates seen in use by two, by what gave them away',
      labelNames: ['kind'] as const,
      registers,
    }),
    connects: new Counter({
      name: 'rollcall_mqtt_connects_total',
      help: 'Connections whose CONNECT was accepted, by version of MQTT',
      labelNames: ['protocol'] as const,
      registers,
    }),
    mqttSessions: new Gauge({
      name: 'rollcall_mqtt_sessions',
      help: 'Sessions that are connected, by version of MQTT',
      labelNames: ['protocol'] as const,
      registers,
    }),
    disconnects: new Counter({
      name: 'rollcall_mqtt_disconnects_sent_total',
      help: 'Sessions of MQTT 5 that the broker ended with DISCONNECT, by its Reason Code',
      labelNames: ['code'] as const,
      registers,
    }),
    sessionsExpired: new Counter({
      name: 'rollcall_sessions_expired_total',
      help: 'Stored sessions whose Session Expiry Interval was over',
      registers,
    }),
    drops: new Counter({
      name: 'rollcall_messages_dropped_total',
      help: 'Messages dropped: a queue was full, they had waited too long, or no consumer of a group was left',
      labelNames: ['queue'] as const,
      registers,
    }),
    slowed: new Counter({
      name: 'rollcall_devices_slowed_total',
      help: 'Times a device was not read for a while because it had sent more than it may',
      registers,
    }),
    sessionsUnkept: new Counter({
      name: 'rollcall_session_writes_lost_total',
      help: 'Groups of writes that the session store did not take: nothing of them was acknowledged',
      registers,
    }),
    sessionsSetAside: new Counter({
      name: 'rollcall_session_store_damaged_total',
      help: 'Session stores found damaged and set aside',
      registers,
    }),
    eventsDropped: new Counter({
      name: 'rollcall_events_dropped_total',
      help: 'Events that the event log could not take',
      registers,
    }),
    eventLogFailures: new Counter({
      name: 'rollcall_event_log_failures_total',
      help: 'Times the event log could not be written, or was set aside as damaged',
      registers,
    }),
    sessionsKeptSeconds: new Histogram({
      name: 'rollcall_session_sync_seconds',
      help: 'How long the disk takes to keep a group of writes for stored sessions',
      buckets: LATENCIES,
      registers,
    }),
    queuedMessages: new Gauge({
      name: 'rollcall_queued_messages',
      help: 'Messages that wait in stored sessions',
      registers,
    }),
    queuedBytes: new Gauge({
      name: 'rollcall_queued_bytes',
      help: 'What the messages that wait in stored sessions weigh, as the bounds count it',
      registers,
    }),
    retainedMessages: new Gauge({
      name: 'rollcall_retained_messages',
      help: 'Messages that devices retain',
      registers,
    }),
    retainedBytes: new Gauge({
      name: 'rollcall_retained_bytes',
      help: 'What the messages that devices retain weigh, as the bounds count it',
      registers,
    }),
    doubts: new Counter({
      name: 'rollcall_registry_doubts_total',
      help: 'Decisions refused because the registry could not be read',
      registers,
    }),
    openDecisions: new Counter({
      name: 'rollcall_registry_open_decisions_total',
      help: 'Decisions taken although the registry was lost (registryLossMode open)',
      registers,
    }),
    replicaSequence: new Gauge({
      name: 'rollcall_replica_sequence',
      help: 'The last group of changes in the replica of a registry that several machines share',
      registers,
    }),
    replicaAge: new Gauge({
      name: 'rollcall_replica_age_seconds',
      help: 'How long ago PostgreSQL was last heard, where several machines share a registry',
      registers,
    }),
    busConnected: new Gauge({
      name: 'rollcall_bus_connected',
      help: '1 where this broker is connected to the bus of several brokers',
      registers,
    }),
    busReceived: new Counter({
      name: 'rollcall_bus_messages_received_total',
      help: 'Messages of other brokers that the bus brought',
      registers,
    }),
    busReadFromLog: new Counter({
      name: 'rollcall_bus_messages_read_total',
      help: 'Messages of other brokers that the bus did not bring: read from the log in PostgreSQL',
      registers,
    }),
    groupCommitSeconds: new Histogram({
      name: 'rollcall_group_commit_seconds',
      help: 'How long PostgreSQL takes to keep a group of writes, attempts that failed included',
      buckets: LATENCIES,
      registers,
    }),
    nodeInfo: new Gauge({
      name: 'rollcall_node_info',
      help: 'Always 1: the name by which the registry knows this broker',
      labelNames: ['node'] as const,
      registers,
    }),
    nodeDrained: new Gauge({
      name: 'rollcall_node_drained',
      help: '1 where an operator has drained this broker: it takes no session',
      registers,
    }),
    registryReadable: new Gauge({
      name: 'rollcall_registry_readable',
      help: '1 where the change feed could be read when last tried, from the file that was opened',
      registers,
    }),
    sessionStoreBytes: new Gauge({
      name: 'rollcall_session_store_bytes',
      help: 'The file of stored sessions with its write-ahead log',
      registers,
    }),
    connections: new Gauge({
      name: 'rollcall_connections',
      help: 'Connections open, those in their handshake and those that wait for it included',
      registers,
    }),
    sessions: new Gauge({ name: 'rollcall_sessions', help: 'Live sessions', registers }),
    handshakes: new Gauge({ name: 'rollcall_handshakes', help: 'TLS handshakes in flight', registers }),
    handshakesWaiting: new Gauge({
      name: 'rollcall_handshakes_waiting',
      help: 'Connections that wait for their TLS handshake',
      registers,
    }),
    handshakeSeconds: new Histogram({
      name: 'rollcall_handshake_seconds',
      help: 'From accept to the end of the handshake',
      buckets: LATENCIES,
      registers,
    }),
    admissionSeconds: new Histogram({
      name: 'rollcall_admission_seconds',
      help: 'From the end of the handshake to the decision',
      buckets: LATENCIES,
      registers,
    }),
    feedLagSeconds: new Histogram({
      name: 'rollcall_change_feed_lag_seconds',
      help: 'From the commit of a change to its acknowledgement, by the clock of this machine',
      buckets: LATENCIES,
      registers,
    }),
    feedEpoch: new Gauge({
      name: 'rollcall_change_feed_epoch',
      help: 'The last change that this broker has acted on',
      registers,
    }),
    cutSeconds: new Histogram({
      name: 'rollcall_cut_seconds',
      help: 'From reading a change to its acknowledgement',
      buckets: LATENCIES,
      registers,
    }),
    messages: new Counter({
      name: 'rollcall_messages_received_total',
      help: 'Messages accepted from devices',
      registers,
    }),
    messagesSent: new Counter({
      name: 'rollcall_messages_sent_total',
      help: 'Messages delivered to devices',
      registers,
    }),
    bytesReceived: new Counter({
      name: 'rollcall_mqtt_received_bytes_total',
      help: 'Bytes of MQTT read from admitted connections',
      registers,
    }),
    bytesSent: new Counter({
      name: 'rollcall_mqtt_sent_bytes_total',
      help: 'Bytes of MQTT sent to admitted connections',
      registers,
    }),
    publishAcknowledgementSeconds: new Histogram({
      name: 'rollcall_publish_acknowledgement_seconds',
      help: 'From a PUBLISH of QoS 1 or 2 to its acknowledgement, the disk included; one message of 16 is timed',
      buckets: LATENCIES,
      registers,
    }),
    routingSeconds: new Histogram({
      name: 'rollcall_routing_seconds',
      help: 'From the permission to publish until all receivers have it in connection or queue; one message of 16 is timed',
      buckets: LATENCIES,
      registers,
    }),
  }
  startAtZero(metrics)
  return metrics
}

/** Every series is there from the start: a first refusal is an increase that can be seen, and no traffic makes more of them. */
function startAtZero(metrics: {
  refusals: Counter<'reason'>
  cuts: Counter<'reason'>
  denials: Counter<'reason'>
  clones: Counter<'kind'>
  drops: Counter<'queue'>
  connects: Counter<'protocol'>
}): void {
  const { refusals, cuts, denials, clones, drops, connects } = metrics
  for (const protocol of Object.values(protocolNames)) connects.inc({ protocol }, 0)
  for (const reason of reasonCodes) {
    refusals.inc({ reason }, 0)
    cuts.inc({ reason }, 0)
  }
  for (const reason of [
    ...['publish_denied', 'subscribe_denied', 'quota_exceeded', 'message_unstorable'],
    'payload_format_invalid',
  ])
    denials.inc({ reason }, 0)
  for (const kind of cloneKinds) clones.inc({ kind }, 0)
  for (const queue of ['outbound', 'too_large', 'offline', 'aged', 'retained']) drops.inc({ queue }, 0)
}
