// The tables for monitoring: live sessions, counts, device attributes, webhooks.

export type MonitoringSchema = {
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
  roll_counts: { kind: 'device' | 'certificate'; state: string; count: number }
  device_attributes: { name: string; value: string; device_id: string }
}
