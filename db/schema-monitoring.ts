// The tables for monitoring: brokers and their drains, live sessions, refusals, when devices were last seen, counts, device attributes, webhooks.
import type { Generated } from 'kysely'

export type MonitoringSchema = {
  nodes: {
    id: string
    started_at: number
    seen_at: number
    acknowledged_epoch: number
    sessions: Generated<number>
    version: Generated<string>
    replica_sequence: number | null
    replica_age_ms: number | null
    bus_connected: number | null
    drain_at: number | null
  }
  node_drains: { node_id: string; at: number; over_ms: number; moved: 0 | 1; server_reference: string }
  webhooks: {
    id: string
    url: string
    kinds: string
    secret: string
    from_seq: number
    created_at: number
    created_by: string
    disabled_at: number | null
    disabled_reason: string | null
  }
  live_sessions: {
    device_id: string
    client_id: string
    node_id: string
    fingerprint: string
    address: string
    since: number
    facts: string
  }
  last_seen: {
    device_id: string
    seen_at: Generated<number>
    node_id: string | null
    connected_at: Generated<number>
    disconnected_at: number | null
    reason: string | null
    address: string | null
    fingerprint: string | null
    protocol_level: number | null
    session_kept: Generated<number>
    messages_waiting: Generated<number>
    bytes_in: Generated<number>
    bytes_out: Generated<number>
  }
  refusals: {
    id: Generated<number>
    fingerprint: string
    device_id: string | null
    reason: string
    address: string
    at: number
    count: number
  }
  denials: {
    id: Generated<number>
    device_id: string
    action: 'publish' | 'subscribe' | 'will'
    topic: string
    qos: number
    retain: number
    verdict: string | null
    decided_by: string | null
    fingerprint: string
    address: string
    first_at: number
    at: number
    count: number
  }
  roll_counts: { kind: 'device' | 'certificate'; state: string; count: number }
  device_attributes: { name: string; value: string; device_id: string }
}
