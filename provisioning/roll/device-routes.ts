// Devices: register, list, read, change, and the moves of their state.

import type { FastifyReply } from 'fastify'
import type { RegistryWriter } from '../../db/index.ts'
import type { LastSeenReader } from '../../db/roll/last-seen.ts'
import type { LiveSessionReader } from '../../db/roll/live-sessions.ts'
import type { RollReader } from '../../db/roll/roll-reader.ts'
import { type Api, refusals, secured } from '../http/api.ts'
import { assertSaysWhich, etag, IfMatch } from '../http/precondition.ts'
import { Problem } from '../http/problem.ts'
import { rollProblems } from '../http/roll-problems.ts'
import { toDeviceResponse } from '../http/roll-responses.ts'
import * as schemas from '../http/schemas.ts'
import type { Log } from '../logging/log.ts'
import { actorOf, callerOf } from '../operators/authentication.ts'
import type { AuthorizationScope } from '../operators/authorization-scope.ts'
import { scopeOf } from '../operators/authorization-scope.ts'
import type { AwaitReceipt } from '../receipt.ts'
import {
  DevicePage,
  DeviceQuery,
  decodeDeviceCursor,
  encodeDeviceCursor,
  filterOf,
  sortOf,
} from './device-query.ts'

export type DeviceServices = {
  writer: RegistryWriter
  roll: RollReader
  liveSessions: LiveSessionReader
  lastSeen: LastSeenReader
  receipt: AwaitReceipt
  log: Log
  now: () => number
  authorizationScope: AuthorizationScope
}

export function deviceRoutes(api: Api, services: DeviceServices): void {
  const { writer, roll, liveSessions, lastSeen, authorizationScope, receipt, log, now } = services
  const tags = ['devices']

  /** With its version as ETag, where a device is the answer. */
  async function answerDevice(reply: FastifyReply, id: string): Promise<schemas.Device> {
    const device = await roll.device(id)
    if (device === null) throw new Problem(rollProblems, 'device_unknown', `no device ${id} is registered`)
    const connected = liveSessions.connectedOf([id], now()).has(id)
    const shown = toDeviceResponse(device, connected, lastSeen.ofDevice(id, now()))
    reply.header('etag', etag(shown.version))
    return shown
  }

  api.post(
    '/v1/devices',
    {
      config: {
        replay: async (done, _, reply) => {
          reply.code(201).header('location', `/v1/devices/${done.target}`)
          return answerDevice(reply, done.target)
        },
      },
      schema: {
        tags,
        security: secured,
        summary: 'Register a device',
        body: schemas.NewDevice,
        querystring: schemas.NoQuery,
        response: { 201: schemas.Device, ...refusals },
      },
    },
    async (request, reply) => {
      const { id, attributes = {} } = request.body
      const groups = authorizationScope.groupsFor(request, request.body.groups)
      authorizationScope.assertMaySet(request, { id, groups, attributes })
      await writer.addDevice({ id, attributes, groups }, actorOf(request))
      log.deviceAdded(callerOf(request), id)
      return reply
        .code(201)
        .header('location', `/v1/devices/${id}`)
        .send(await answerDevice(reply, id))
    },
  )

  api.get(
    '/v1/devices',
    {
      schema: {
        tags,
        security: secured,
        summary: 'List devices',
        description:
          'Where few are found among many, or devices have long attributes, a page ends before its limit: go on until nextCursor is null.',
        querystring: DeviceQuery,
        response: { 200: DevicePage, ...refusals },
      },
    },
    async request => {
      const { limit = 100, cursor, sort, total, ...asked } = request.query
      const filter = filterOf(asked, scopeOf(request))
      const after = decodeDeviceCursor(cursor, sort)
      const { items, next } = await roll.devices(filter, after, limit, now(), sortOf(sort))
      const ids = items.map(({ id }) => id)
      const connected = liveSessions.connectedOf(ids, now())
      const seen = lastSeen.ofDevices(ids, now())
      return {
        items: items.map(device =>
          toDeviceResponse(device, connected.has(device.id), seen.get(device.id) ?? null),
        ),
        nextCursor: encodeDeviceCursor(next, sort),
        ...(total === true && { total: roll.countDevices(filter, now()) }),
      }
    },
  )

  api.get(
    '/v1/devices/:id',
    {
      schema: {
        tags,
        security: secured,
        summary: 'Read a device',
        params: schemas.DeviceParams,
        querystring: schemas.NoQuery,
        response: { 200: schemas.Device, ...refusals },
      },
    },
    async (request, reply) => answerDevice(reply, request.params.id),
  )

  api.patch(
    '/v1/devices/:id',
    {
      config: { replay: (done, _, reply) => answerDevice(reply, done.target) },
      schema: {
        tags,
        security: secured,
        summary: 'Change a device',
        description:
          'What is given replaces all that was: attributes or groups are not merged. Takes the ETag of the device as If-Match.',
        headers: IfMatch,
        params: schemas.DeviceParams,
        querystring: schemas.NoQuery,
        body: schemas.DeviceChange,
        response: { 200: schemas.Device, ...refusals },
      },
    },
    async (request, reply) => {
      const { id } = request.params
      const { attributes, groups } = request.body
      const held = await answerDevice(reply, id)
      assertSaysWhich(request, `what device ${id} has`)
      if (groups !== undefined) await authorizationScope.assertMayMove(request, id, groups)
      if (attributes !== undefined) {
        // Of the groups that it leaves as well as of those that it joins.
        const device = { id, groups: [...held.groups, ...(groups ?? [])], attributes }
        authorizationScope.assertMaySet(request, device, held.attributes)
      }
      await writer.changeDevice(id, request.body, actorOf(request))
      log.deviceChanged(callerOf(request), id)
      return answerDevice(reply, id)
    },
  )

  api.delete(
    '/v1/devices/:id',
    {
      schema: {
        tags,
        security: secured,
        summary: 'Delete a decommissioned device',
        description:
          'Once its last certificate has expired. Its public keys stay taken, and its rows in the audit log stay. One that came with an identity of its maker cannot be deleted.',
        headers: IfMatch,
        params: schemas.DeviceParams,
        querystring: schemas.NoQuery,
        body: schemas.NoBody,
        response: { 204: schemas.NoBody, ...refusals },
      },
    },
    async (request, reply) => {
      const { id } = request.params
      await writer.deleteDevice(id, actorOf(request))
      log.deviceDeleted(callerOf(request), id)
      return reply.code(204).send(null)
    },
  )

  const moves = {
    suspend: {
      state: 'suspended',
      summary: 'Suspend a device: its sessions are cut, nothing of it is admitted',
    },
    activate: { state: 'active', summary: 'Let a suspended device back in' },
    decommission: { state: 'decommissioned', summary: 'Decommission a device, for good' },
  } as const

  for (const [verb, { state, summary }] of Object.entries(moves)) {
    const answer = async (deviceId: string, epoch: number) => ({ ...(await receipt(epoch)), deviceId, state })
    api.post(
      `/v1/devices/:id/${verb}`,
      {
        config: { replay: done => answer(done.target, done.epoch!) },
        schema: {
          tags,
          security: secured,
          summary,
          description: 'Answers when every broker acted on it, or after 2 s with those that did not.',
          params: schemas.DeviceParams,
          querystring: schemas.NoQuery,
          headers: IfMatch,
          body: schemas.NoBody,
          response: { 200: schemas.DeviceReceipt, ...refusals },
        },
      },
      async request => {
        const { id } = request.params
        // To let a device back in is to certify it again.
        if (state === 'active') authorizationScope.assertMayCertify(request, id)
        const epoch = await writer.setDeviceState(id, state, actorOf(request))
        log.deviceStateSet(callerOf(request), id, state)
        return answer(id, epoch)
      },
    )
  }
}
