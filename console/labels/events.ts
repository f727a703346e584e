// The kinds of events, and how each is told.

import type { FleetEvent } from '../../client/events.ts'
import { reasonLabel } from './reasons.ts'
import type { Tone } from './tone.ts'

const eventTones: Readonly<Record<string, Tone>> = {
  connected: 'good',
  disconnected: 'neutral',
  refused: 'bad',
  publish_denied: 'warn',
  subscribe_denied: 'warn',
  will_denied: 'warn',
  enrolled: 'info',
  waiting: 'warn',
  renewed: 'info',
  rekeyed_early: 'warn',
  expiring: 'warn',
  nonconforming: 'warn',
  suspended: 'warn',
  activated: 'good',
  revoked: 'bad',
  decommissioned: 'bad',
  cloned: 'bad',
  node_draining: 'warn',
  node_drained: 'info',
  node_resumed: 'good',
  webhook_disabled: 'warn',
  audit_tampered: 'bad',
  events_dropped: 'warn',
}
export const eventKinds = Object.keys(eventTones)

export function eventTone(kind: string): Tone {
  return Object.hasOwn(eventTones, kind) ? eventTones[kind]! : 'neutral'
}

/** How a session ended that nobody cut. */
const endLabels: Record<string, string> = {
  closed: 'The device closed it',
  connection_failed: 'The connection broke',
  taken_over: 'Another connection of the device took its place',
}

/** What stands beside the kind: why, and from where. */
export function describeEvent({ reason, detail, node }: FleetEvent): string {
  const code = textIn(detail, 'code')
  const received = textIn(detail, 'receivedCode')
  const isFault = reason === 'connection_failed' && code !== null
  const parts = [
    isFault
      ? 'The broker ended it'
      : reason === null
        ? null
        : (endLabels[reason] ?? reasonLabel(reason).title),
    code === null ? null : `told ${code}`,
    received === null ? null : `DISCONNECT ${received} came from it`,
    textIn(detail, 'protocol') === null ? null : `MQTT ${textIn(detail, 'protocol')}`,
    textIn(detail, 'topic') === null ? null : `of ${textIn(detail, 'topic')}`,
    textIn(detail, 'name') === null ? null : `broker ${textIn(detail, 'name')}`,
    typeof detail['of'] === 'string' ? `of the ${detail['of']}` : null,
    typeof detail['address'] === 'string' ? `from ${detail['address']}` : null,
    typeof detail['clientId'] === 'string' ? `as ${detail['clientId']}` : null,
    typeof detail['count'] === 'number' && detail['count'] > 1 ? `${detail['count']} times` : null,
    node === null ? null : `at ${node}`,
  ]
  return parts.filter(Boolean).join(', ')
}

function textIn(detail: FleetEvent['detail'], name: string): string | null {
  return typeof detail[name] === 'string' ? detail[name] : null
}
