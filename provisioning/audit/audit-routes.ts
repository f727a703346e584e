// The audit log: search it page by page, verify it from the first row to the last. Nobody writes here.

import type { AuditRow } from '../../db/audit/audit-chain.ts'
import { timeText } from '../../db/audit/audit-chain.ts'
import { parseInstant } from '../../pki/instant.ts'
import { type Api, refusals, type Services, secured } from '../http/context.ts'
import { decodeCursor, encodeCursor } from '../http/cursor.ts'
import { Problem } from '../http/problem.ts'
import { NoQuery, PageOf } from '../http/schemas.ts'
import * as schemas from './audit-schemas.ts'

export function auditRoutes(api: Api, { audit }: Services): void {
  const tags = ['audit']

  api.get(
    '/v1/audit',
    {
      schema: {
        tags,
        security: secured,
        summary: 'Search the audit log, newest first',
        description:
          'All filters must hold. `hash` is the SHA-256 of `prevHash` and the RFC 8785 form of the row without its two hashes.',
        querystring: schemas.AuditQuery,
        response: { 200: PageOf(schemas.AuditRow), ...refusals },
      },
    },
    async request => {
      const { limit = 100, cursor, order = 'newest', since, until, ...filter } = request.query
      const key = decodeCursor(cursor, text => /^[1-9]\d{0,14}$/.test(text))
      const times = { since: momentOf('since', since), until: momentOf('until', until) }
      const page = await audit.reader.search(
        { ...filter, ...times },
        order,
        key === null ? null : Number(key),
        limit,
      )
      return { items: page.items.map(shownRow), nextCursor: encodeCursor(page.next?.toString() ?? null) }
    },
  )

  api.get(
    '/v1/audit/verification',
    {
      schema: {
        tags,
        security: secured,
        summary: 'Verify the audit log and its checkpoints',
        description:
          'Walks every row, so it takes as long as the log is. `fault` names the first row that is not as it was written.',
        querystring: NoQuery,
        response: { 200: schemas.AuditVerification, ...refusals },
      },
    },
    async () => audit.sealer.verification(),
  )
}

/** Throws the problem `request_invalid` where the text names no moment. */
export function momentOf(name: string, time: string | undefined): number | undefined {
  if (time === undefined) return undefined
  const at = parseInstant(time)
  if (at === null)
    throw new Problem('request_invalid', `${name} is no time: write it as 2026-03-01T12:00:00Z`)
  return at
}

function shownRow({ at, detail, ...row }: AuditRow): schemas.AuditRow {
  return { ...row, ts: timeText(at), detail: JSON.parse(detail) }
}
