// The kinds of events.

export const kinds = [
  'connected',
  'disconnected',
  'refused',
  'publish_denied',
  'subscribe_denied',
  'will_denied',
  'cloned',
  'enrolled',
  'waiting',
  'renewed',
  'rekeyed_early',
  'expiring',
  'nonconforming',
  'suspended',
  'activated',
  'revoked',
  'decommissioned',
  'node_draining',
  'node_drained',
  'node_resumed',
  'webhook_disabled',
  'audit_tampered',
  'events_dropped',
] as const
export type EventKind = (typeof kinds)[number]
