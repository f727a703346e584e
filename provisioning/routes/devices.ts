// Devices: register, list, read, change, and the moves of their state.
import { isDeviceId } from '../../pki/device-id.ts'
import { actorOf } from '../authentication.ts'
import { decodeCursor, encodeCursor } from '../cursor.ts'
import { Problem } from '../problem.ts'
import * as schemas from '../schemas.ts'
import { type Api, callerOf, refusals, type Services, secured, shownDevice } from './context.ts'

export function deviceRoutes(api: Api, services: Services): void {
  const { writer, roll, receipt, events } = services
  const tags = ['devices']

  async function deviceOf(id: string): Promise<schemas.Device> {
    const device = await roll.device(id)
    if (device === null) throw new Problem('device_unknown', `no device ${id} is registered`)
    return shownDevice(device)
  }

  api.post(
    '/v1/devices',
    {
      config: { role: 'enroller' },
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
      const { id, attributes = {}, groups = [] } = request.body
      await writer.addDevice({ id, attributes, groups }, actorOf(request))
      events.deviceAdded(callerOf(request), id)
      return reply
        .code(201)
        .header('location', `/v1/devices/${id}`)
        .send(await deviceOf(id))
    },
  )

  api.get(
    '/v1/devices',
    {
      config: { role: 'viewer' },
      schema: {
        tags,
        security: secured,
        summary: 'List devices, by ID',
        querystring: schemas.DeviceQuery,
        response: { 200: schemas.PageOf(schemas.Device), ...refusals },
      },
    },
    async request => {
      const { limit = 100, cursor, ...filter } = request.query
      const { items, next } = await roll.devices(filter, decodeCursor(cursor, isDeviceId), limit)
      return { items: items.map(shownDevice), nextCursor: encodeCursor(next) }
    },
  )

  api.get(
    '/v1/devices/:id',
    {
      config: { role: 'viewer' },
      schema: {
        tags,
        security: secured,
        summary: 'Read a device',
        params: schemas.DeviceParams,
        querystring: schemas.NoQuery,
        response: { 200: schemas.Device, ...refusals },
      },
    },
    async request => deviceOf(request.params.id),
  )

  api.patch(
    '/v1/devices/:id',
    {
      config: { role: 'operator' },
      schema: {
        tags,
        security: secured,
        summary: 'Change a device',
        description: 'What is given replaces all that was: attributes or groups are not merged.',
        params: schemas.DeviceParams,
        querystring: schemas.NoQuery,
        body: schemas.DeviceChange,
        response: { 200: schemas.Device, ...refusals },
      },
    },
    async request => {
      const { id } = request.params
      await writer.changeDevice(id, request.body, actorOf(request))
      events.deviceChanged(callerOf(request), id)
      return deviceOf(id)
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
    api.post(
      `/v1/devices/:id/${verb}`,
      {
        config: { role: 'operator' },
        schema: {
          tags,
          security: secured,
          summary,
          description: 'Answers when every broker acted on it, or after 2 s with those that did not.',
          params: schemas.DeviceParams,
          querystring: schemas.NoQuery,
          body: schemas.NoBody,
          response: { 200: schemas.DeviceReceipt, ...refusals },
        },
      },
      async request => {
        const { id } = request.params
        const epoch = await writer.setDeviceState(id, state, actorOf(request))
        events.deviceStateSet(callerOf(request), id, state)
        return { ...(await receipt(epoch)), deviceId: id, state }
      },
    )
  }
}
