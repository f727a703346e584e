// One look at the service. What brokers noted is shown, never decided upon.

import type { MinuteCount } from '../../db/events/event-reader.ts'
import type { Issuer } from '../../db/issuers/issuer-store.ts'
import { validityIn } from '../../pki/certificate-facts.ts'
import type { CaManager } from '../ca/ca-manager.ts'
import type { EventService } from '../events/index.ts'
import { type Api, refusals, secured, time } from '../http/api.ts'
import * as schemas from '../http/schemas.ts'
import { toNodeResponse } from '../nodes/node-response.ts'
import { scopeOf } from '../operators/authorization-scope.ts'
import type { Overview as Look, OverviewService } from './overview.ts'
import { windowsMs } from './overview.ts'
import { Overview } from './overview-schemas.ts'

type OverviewServices = {
  issuers: () => Map<string, Issuer>
  overview: OverviewService
  events: Pick<EventService, 'reader' | 'streams'>
  now: () => number
  ca: { manager: CaManager }
}

const HOUR_MS = 3_600_000

export function overviewRoutes(api: Api, services: OverviewServices): void {
  const { overview, events, issuers, ca, now } = services

  api.get(
    '/v1/overview',
    {
      schema: {
        tags: ['service'],
        security: secured,
        summary: 'One look at devices, certificates, brokers, the CA and the last changes',
        description:
          'At most a second old; for a caller bound to a group at most ten, and of that group alone: perMinute, ca, nodes and jobs are null.',
        querystring: schemas.NoQuery,
        response: { 200: Overview, ...refusals },
      },
    },
    async request => {
      const look = await overview.of(scopeOf(request))
      return {
        ...toCountsResponse(look),
        ...toServiceResponse(look),
        receipts: look.changes.map(toChangeResponse),
      }
    },
  )

  function toServiceResponse({ service }: Look) {
    if (service === null) return { perMinute: null, ca: null, nodes: null, jobs: null }
    const current = ca.manager.current()
    const activeId = ca.manager.activeId()
    const issuing = [...issuers().values()].filter(({ kind }) => kind === 'issuing')
    return {
      perMinute: perMinute(events.reader.minutes(now() - HOUR_MS)),
      ca: {
        root: { notAfter: time(validityIn(current.root).notAfter) },
        issuers: issuing.map(({ id, name, enabled, notAfter }) => ({
          ...{ id, name, enabled, current: id === activeId, keyHere: ca.manager.isKeyHere(id) },
          notAfter: time(notAfter),
          devices: service.devicesOfIssuer.get(id) ?? null,
        })),
        server: { notAfter: time(service.server.notAfter), names: service.server.names },
      },
      nodes: service.nodes.map(node => toNodeResponse(node, now())),
      jobs: { running: service.jobs },
    }
  }
}

/** Minutes in which nothing happened are left out. */
function perMinute(counts: readonly MinuteCount[]) {
  const minutes = new Map<
    number,
    { connected: number; disconnected: number; refused: Record<string, number> }
  >()
  for (const { minute, kind, reason, count } of counts) {
    const one = minutes.get(minute) ?? { connected: 0, disconnected: 0, refused: {} }
    if (kind === 'connected') one.connected += count
    else if (kind === 'disconnected') one.disconnected += count
    else if (kind === 'refused') one.refused[reason] = count
    else continue
    minutes.set(minute, one)
  }
  return [...minutes].map(([minute, one]) => ({ minute: time(minute), ...one }))
}

function toCountsResponse({ at, counts }: Look) {
  const { devices, certificates, connected, expired, expiring } = counts
  return {
    at: time(at),
    devices,
    certificates: {
      byStatus: certificates,
      expired,
      expiring: Object.values(windowsMs).map((ms, index) => ({
        withinSeconds: ms / 1000,
        count: expiring[index] ?? 0,
      })),
    },
    connected,
    waitingApproval: certificates.pending,
  }
}

function toChangeResponse({ at, tookMs, ...change }: Look['changes'][number]) {
  return { ...change, at: time(at), milliseconds: tookMs }
}
