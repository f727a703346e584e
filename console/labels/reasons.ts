// What reason codes, checks and states mean, in words for the page. The codes and their hints are the service's own.
import type { Explanation } from '../../client/types.ts'
import { reasons } from '../../db/reason.ts'

/** What a reason code means and what to do; a code that this page does not know stands for itself. */
export function reasonLabel(code: string): { title: string; hint: string } {
  return Object.hasOwn(reasons, code)
    ? reasons[code as keyof typeof reasons]
    : { title: humanize(code), hint: '' }
}

/** What the client of a refused device is told. */
export function answerText({ mqtt5, mqtt311 }: NonNullable<Explanation['answer']>): string {
  if (mqtt5 === null && mqtt311 === null) return 'Its client is told nothing: the connection is closed.'
  const older = mqtt311 === null ? 'nothing' : `CONNACK ${mqtt311}`
  return `Its client is told ${mqtt5 ?? 'nothing'} by MQTT 5, ${older} by MQTT 3.1.1.`
}

/** `certificate_status` as a reader says it. */
export function humanize(code: string): string {
  const text = code.replaceAll('_', ' ')
  return text.charAt(0).toUpperCase() + text.slice(1)
}

export const verdictLabels: Record<string, string> = {
  allowed: 'A statement allows it.',
  denied: 'A statement denies it; a deny wins.',
  nothing_allows: 'No statement allows it, and what nothing allows is refused.',
  qos_exceeded: 'It is allowed at a lower quality of service only.',
  retain_not_allowed: 'It is allowed, but not as a retained message.',
  reserved: 'Topics that begin with $ are closed to devices.',
  not_a_topic: 'This is no topic, or no topic filter.',
  variable_missing: 'A deny names a value that this device does not have, so nothing is allowed.',
}

export const statusLabels: Record<string, string> = {
  pending: 'waits for approval',
  issued: 'never used yet; the first connection makes it active',
  active: 'in use',
  superseded: 'a newer one is in use; admits until its grace ends',
  suspended: 'held: refused until it is activated again',
  rejected: 'was not approved',
  retired: 'its grace has ended',
  lapsed: 'a renewal that was never used',
  revoked: 'revoked, for good',
}
