// Sessions of devices, connected and kept: the list, the connections of one device, and ending them. What brokers noted is shown,
// never decided upon.
import type { Static } from 'typebox'
import type { RegistryWriter } from '../../db/index.ts'
import type { DeviceFilter } from '../../db/roll/device-filter.ts'
import type { LastSeen, LastSeenReader } from '../../db/roll/last-seen.ts'
import {
  type LiveSessionReader,
  type NotedSession,
  type ProtocolName,
  protocolNames,
} from '../../db/roll/live-sessions.ts'
import type { RollReader } from '../../db/roll/roll-reader.ts'
import { type Api, refusals, secured, time, timeOrNull } from '../http/api.ts'
import { decodeCursor } from '../http/cursor.ts'
import { Problem } from '../http/problem.ts'
import { rollProblems } from '../http/roll-problems.ts'
import * as schemas from '../http/schemas.ts'
import type { Log } from '../logging/log.ts'
import { actorOf, callerOf } from '../operators/authentication.ts'
import { scopeOf } from '../operators/authorization-scope.ts'
import type { AwaitReceipt } from '../receipt.ts'
import { decodeDeviceCursor, encodeDeviceCursor, sortOf } from '../roll/device-query.ts'
import {
  DeviceSession,
  Kick,
  KickReceipt,
  type Session,
  SessionPage,
  SessionQuery,
} from './session-schemas.ts'

export type SessionServices = {
  writer: RegistryWriter
  roll: RollReader
  liveSessions: LiveSessionReader
  lastSeen: LastSeenReader
  receipt: AwaitReceipt
  log: Log
  now: () => number
}

const protocols: Readonly<Record<number, ProtocolName>> = protocolNames

export function deviceSessionRoutes(api: Api, services: SessionServices): void {
  const { writer, roll, liveSessions, lastSeen, receipt, log, now } = services
  const tags = ['sessions']

  api.get(
    '/v1/sessions',
    {
      schema: {
        tags,
        security: secured,
        summary: 'List sessions: of devices that are connected, and kept ones of devices that are not',
        description:
          'One for each device. Where few are found among many, a page ends before its limit: go on until nextCursor is null.',
        querystring: SessionQuery,
        response: { 200: SessionPage, ...refusals },
      },
    },
    async request => {
      const { limit = 100, cursor, sort = 'deviceId', total, ...asked } = request.query
      const order = sort.replace('deviceId', 'id')
      const filter = filterOf(asked, scopeOf(request))
      const after = decodeDeviceCursor(cursor, order)
      const { items, next } = await roll.devices(filter, after, limit, now(), sortOf(order))
      const ids = items.map(({ id }) => id)
      const nodes = liveSessions.nodesOf(ids, now())
      const seen = lastSeen.ofDevices(ids, now())
      return {
        items: ids.map(id => toSession(id, nodes.get(id) ?? null, seen.get(id) ?? null)),
        nextCursor: encodeDeviceCursor(next, order),
        ...(total === true && { total: roll.countDevices(filter, now()) }),
      }
    },
  )

  api.get(
    '/v1/devices/:id/sessions',
    {
      schema: {
        tags,
        security: secured,
        summary: 'The connections of the device now',
        description: 'As brokers noted it within the last seconds.',
        params: schemas.DeviceParams,
        querystring: schemas.PageQuery,
        response: { 200: schemas.PageOf(DeviceSession), ...refusals },
      },
    },
    async request => {
      const { id } = request.params
      if ((await roll.device(id)) === null)
        throw new Problem(rollProblems, 'device_unknown', `no device ${id} is registered`)
      decodeCursor(request.query.cursor, () => false)
      return { items: liveSessions.ofDevice(id, now()).map(toConnection), nextCursor: null }
    },
  )

  const answer = async (deviceId: string, cleared: boolean, epoch: number) => ({
    ...(await receipt(epoch)),
    ...{ deviceId, cleared },
  })
  api.post(
    '/v1/devices/:id/sessions/kick',
    {
      config: {
        replay: (done, request) =>
          answer(done.target, (request.body as Static<typeof Kick>)?.clear === true, done.epoch!),
      },
      schema: {
        tags,
        security: secured,
        summary: 'End the session of a device, which keeps its right and may connect again',
        description:
          'Its will is sent. With clear what is stored of the session goes, too: subscriptions, waiting messages, unfinished exchanges. Answers when every broker acted on it, or after 2 s with those that did not.',
        params: schemas.DeviceParams,
        querystring: schemas.NoQuery,
        body: Kick,
        response: { 200: KickReceipt, ...refusals },
      },
    },
    async request => {
      const { id } = request.params
      const clear = request.body?.clear === true
      const epoch = await writer.kickSession(id, { clear }, actorOf(request))
      log.sessionKicked(callerOf(request), id, clear)
      return answer(id, clear, epoch)
    },
  )
}

function toSession(deviceId: string, node: string | null, seen: LastSeen | null): Session {
  return {
    deviceId,
    connected: node !== null,
    kept: seen?.sessionKept ?? false,
    messagesWaiting: seen?.messagesWaiting ?? 0,
    connectedAt: timeOrNull(seen?.connectedAt ?? null),
    disconnectedAt: node === null ? timeOrNull(seen?.disconnectedAt ?? null) : null,
    address: seen?.address ?? null,
    protocol: seen?.protocol ?? null,
    node,
  }
}

type Asked = Omit<Static<typeof SessionQuery>, 'limit' | 'cursor' | 'sort' | 'total'>

function filterOf({ connected, kept, group, prefix }: Asked, scope: string | null): DeviceFilter {
  const all = connected === undefined && kept === undefined
  // The session of a device that is not connected is a kept one.
  const isKept = kept === true || connected === false
  return {
    ...{ connected, group, prefix, scope },
    ...(all && { hasSession: true }),
    ...(isKept && { keptSession: true }),
  }
}

function toConnection({
  nodeId,
  deviceId: _,
  since,
  facts,
  ...session
}: NotedSession): Static<typeof DeviceSession> {
  const { protocolLevel, transport, tlsVersion, cipher, resumed, keepAliveSeconds, clean, username } = facts
  return {
    node: nodeId,
    ...session,
    since: time(since),
    protocol: protocols[protocolLevel ?? 0] ?? null,
    transport: transport ?? null,
    tlsVersion: tlsVersion ?? null,
    cipher: cipher ?? null,
    resumed: resumed ?? null,
    keepAliveSeconds: keepAliveSeconds ?? null,
    clean: clean ?? null,
    username: username ?? null,
  }
}
