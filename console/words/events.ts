// The kinds of events, and how each is told.

import type { EventRow } from '../api/shapes.ts'
import type { Tone } from '../parts/badge.tsx'
import { reasonOf } from './reasons.ts'

export const eventTones: Readonly<Record<string, Tone>> = {
  connected: 'good',
  disconnected: 'neutral',
  refused: 'bad',
  enrolled: 'info',
  renewed: 'info',
  expiring: 'warn',
  suspended: 'warn',
  activated: 'good',
  revoked: 'bad',
  decommissioned: 'bad',
  cloned: 'bad',
  events_dropped: 'warn',
}
export const eventKinds = Object.keys(eventTones)

/** What stands beside the kind: why, and from where. */
export function toldOf({ reason, detail, node }: EventRow): string {
  const parts = [
    reason === null ? null : reasonOf(reason).title,
    typeof detail['address'] === 'string' ? `from ${detail['address']}` : null,
    typeof detail['clientId'] === 'string' ? `as ${detail['clientId']}` : null,
    typeof detail['count'] === 'number' && detail['count'] > 1 ? `${detail['count']} times` : null,
    node === null ? null : `at ${node}`,
  ]
  return parts.filter(Boolean).join(', ')
}
