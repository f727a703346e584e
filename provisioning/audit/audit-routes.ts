// The audit log: search it page by page, verify it from the first row to the last. Nobody writes here.

import type { AuditReader } from '../../db/audit/audit-reader.ts'
import type { AuditRow } from '../../db/audit-chain.ts'
import { timeText } from '../../db/audit-chain.ts'
import { type Api, refusals, secured, timestampOf } from '../http/api.ts'
import { decodeCursor, encodeCursor } from '../http/cursor.ts'
import { NoQuery, PageOf } from '../http/schemas.ts'
import * as schemas from './audit-schemas.ts'
import type { AuditSealer } from './audit-sealer.ts'

type AuditServices = {
  audit: { reader: AuditReader; sealer: Pick<AuditSealer, 'verification' | 'isTampered'> }
}

export function auditRoutes(api: Api, { audit }: AuditServices): void {
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
      const times = { since: timestampOf('since', since), until: timestampOf('until', until) }
      const page = await audit.reader.search(
        { ...filter, ...times },
        order,
        key === null ? null : Number(key),
        limit,
      )
      return { items: page.items.map(toRowResponse), nextCursor: encodeCursor(page.next?.toString() ?? null) }
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

function toRowResponse({ at, detail, ...row }: AuditRow): schemas.AuditRow {
  return { ...row, ts: timeText(at), detail: JSON.parse(detail) }
}
