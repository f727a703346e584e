// The whole roll as it is at one moment, streamed: JSON lines or CSV.

import { Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import type { DeviceExport, ExportedDevice, ExportFilter } from '../../db/jobs/device-export.ts'
import { type Api, refusals, secured } from '../http/api.ts'
import { httpProblems } from '../http/http-problems.ts'
import { Problem } from '../http/problem.ts'
import type { Log } from '../logging/log.ts'
import type { Authentication } from '../operators/authentication.ts'
import { filterOf } from '../roll/device-query.ts'
import { csvHeader, csvLine, failedCsvLine, failedJsonLine, jsonLine } from './export-lines.ts'
import * as jobSchemas from './job-schemas.ts'

export type ExportServices = {
  /** A snapshot of the roll. */
  openExport: (filter: ExportFilter) => DeviceExport
  log: Log
}

/** A snapshot keeps the write-ahead log from being folded in, so there are few and none for long. */
const AT_ONCE_MAX = 4
const LASTS_MS_MAX = 15 * 60_000

export function exportRoutes(
  api: Api,
  { openExport, log }: ExportServices,
  { isStillIn }: Pick<Authentication, 'isStillIn'>,
): void {
  /** Callers with a running export: one each, so that no caller keeps others from theirs. */
  const running = new Set<string>()

  api.get(
    '/v1/export',
    {
      schema: {
        tags: ['jobs'],
        security: secured,
        summary: 'Export devices with their certificates, as of one moment',
        produces: ['application/x-ndjson', 'text/csv'],
        querystring: jobSchemas.ExportQuery,
        response: { 200: jobSchemas.Lines, ...refusals },
      },
    },
    async (request, reply) => {
      const { format = 'ndjson', pem = true, status, ...asked } = request.query
      const operator = request.holder?.id ?? ''
      if (running.has(operator))
        throw new Problem(httpProblems, 'registry_busy', 'an export of yours runs already')
      if (running.size >= AT_ONCE_MAX)
        throw new Problem(httpProblems, 'registry_busy', `${AT_ONCE_MAX} exports run already`)
      const snapshot = openExport({ ...filterOf(asked, null), status })
      running.add(operator)
      const lines = Readable.from(
        linesOf(snapshot, {
          csv: format === 'csv',
          pem,
          isStillIn: () => isStillIn(request),
          onFailed: log.exportFailed,
        }),
        { objectMode: false },
      )
      const overdue = setTimeout(() => lines.destroy(new Error('an export took too long')), LASTS_MS_MAX)
      lines.once('close', () => {
        clearTimeout(overdue)
        running.delete(operator)
        void snapshot.close()
      })
      return reply.type(format === 'csv' ? 'text/csv' : 'application/x-ndjson').send(lines as never)
    },
  )
}

async function* linesOf(
  snapshot: DeviceExport,
  {
    csv,
    pem,
    isStillIn,
    onFailed,
  }: { csv: boolean; pem: boolean; isStillIn(): boolean; onFailed(deviceId: string, error: unknown): void },
): AsyncGenerator<string> {
  /** A device that cannot be written down has a line that says so, and that no import takes for the whole of it. */
  function lineOf(device: ExportedDevice): string {
    try {
      return csv ? csvLine(device) : jsonLine(device, pem)
    } catch (error) {
      onFailed(device.deviceId, error)
      return csv ? failedCsvLine(device.deviceId) : failedJsonLine(device.deviceId)
    }
  }

  if (csv) yield `${csvHeader.join(',')}\r\n`
  for (let page = snapshot.page(); page !== null; page = snapshot.page()) {
    // Cut, not ended: what came is not taken for the whole roll.
    if (!isStillIn()) throw new Error('the caller of an export has no right to it any more')
    if (page.length > 0) yield page.map(lineOf).join('')
    await setImmediate()
  }
}
