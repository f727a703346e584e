// A broker as the API gives it.
import type { NodeStatus } from '../../db/nodes/node-reader.ts'
import { time } from '../http/api.ts'
import type { Node } from './node-schemas.ts'

/** A broker notes every second that it lives, and acts on a change within milliseconds. */
const HEALTHY_MS = 10_000

export function toNodeResponse(
  { lagMs, replica, startedAt, lastSeen, drain, ...node }: NodeStatus,
  now: number,
): Node {
  const isSilent = now - lastSeen >= HEALTHY_MS
  const isBehind = lagMs >= HEALTHY_MS
  const since = Math.min(isSilent ? lastSeen : Infinity, isBehind ? now - lagMs : Infinity)
  return {
    ...node,
    startedAt: time(startedAt),
    lastSeen: time(lastSeen),
    lagSeconds: lagMs / 1000,
    healthy: !isSilent && !isBehind,
    unhealthySince: isSilent || isBehind ? time(since) : null,
    drain: drain === null ? null : toDrainResponse(drain),
    replica:
      replica === null
        ? null
        : { sequence: replica.sequence, behind: replica.behind, ageSeconds: replica.ageMs / 1000 },
  }
}

function toDrainResponse({ at, overMs, moved, serverReference, finished }: NonNullable<NodeStatus['drain']>) {
  return {
    state: finished ? ('drained' as const) : ('draining' as const),
    since: time(at),
    overSeconds: Math.round(overMs / 1000),
    moved,
    serverReference: serverReference === '' ? null : serverReference,
  }
}
