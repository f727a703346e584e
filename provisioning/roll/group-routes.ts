// Groups: the names that devices share, with their sizes and policies.
import Type from 'typebox'
import type { GroupReader } from '../../db/roll/groups.ts'
import { isDeviceId } from '../../pki/device-id.ts'
import { type Api, refusals, secured } from '../http/api.ts'
import { decodeCursor, encodeCursor } from '../http/cursor.ts'
import { PageOf, PageQuery } from '../http/schemas.ts'
import { scopeOf } from '../operators/authorization-scope.ts'

const Group = Type.Object({
  name: Type.String(),
  devices: Type.Integer(),
  exact: Type.Boolean({ description: 'False where there may be more devices than were counted' }),
  policies: Type.Array(Type.String(), { description: 'Those attached to the group' }),
})

export function groupRoutes(api: Api, { groups }: { groups: GroupReader }): void {
  api.get(
    '/v1/groups',
    {
      schema: {
        tags: ['devices'],
        security: secured,
        summary: 'List groups: those that devices are in, or that policies are attached to',
        description: 'Where groups are large, a page ends before its limit: go on until nextCursor is null.',
        querystring: PageQuery,
        response: { 200: PageOf(Group), ...refusals },
      },
    },
    async request => {
      const { limit = 100, cursor } = request.query
      const { items, next } = groups(decodeCursor(cursor, isDeviceId), limit, scopeOf(request))
      return { items, nextCursor: encodeCursor(next) }
    },
  )
}
