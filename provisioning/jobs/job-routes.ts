// Imports: an upload becomes a job, which is looked at, cancelled, and asked for its results line by line.

import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import type { Job } from '../../db/jobs/job-store.ts'
import type { RollReader } from '../../db/roll/roll-reader.ts'
import { toPem } from '../../pki/pem.ts'
import { type Api, refusals, secured } from '../http/api.ts'
import { decodeCursor, encodeCursor } from '../http/cursor.ts'
import { httpProblems } from '../http/http-problems.ts'
import { Problem } from '../http/problem.ts'
import * as schemas from '../http/schemas.ts'
import type { Log } from '../logging/log.ts'
import { type Authentication, actorOf, callerOf } from '../operators/authentication.ts'
import type { RowResult } from './import-row.ts'
import type { ImportService } from './index.ts'
import { jobProblems } from './job-problems.ts'
import * as jobSchemas from './job-schemas.ts'
import type { UploadFormat } from './records.ts'
import { readMapping } from './row.ts'

export type JobServices = {
  roll: RollReader
  imports: ImportService
  /** PEM of an issuer and of what stands above it up to, but without, the root; and of the root. */
  chainOf: (issuerId: string | null) => { chain: string[]; ca: string | null }
  log: Log
}

const formats: Record<string, UploadFormat> = {
  'application/x-ndjson': 'ndjson',
  'application/ndjson': 'ndjson',
  'application/jsonl': 'ndjson',
  'text/csv': 'csv',
}
const tags = ['jobs']
const isJobKey = (text: string) => /^\d{1,15} [0-9a-f-]{36}$/.test(text)
const LETTING_GO_MS = 5_000
/** Of a long answer. */
const ASK_EVERY_LINES = 100

/** In a plugin of its own: here a body is a stream, and JSON is none. */
export function uploadRoutes(
  api: Api,
  { imports, log }: JobServices,
  { assertStillIn }: Pick<Authentication, 'assertStillIn'>,
): void {
  api.removeAllContentTypeParsers()
  api.addContentTypeParser('*', (request, _payload, done) => {
    const known = formatOf(request.headers['content-type']) !== null
    done(known ? null : unsupported(`this route takes ${Object.keys(formats).join(', ')}`), null)
  })

  api.post(
    '/v1/jobs',
    {
      // It takes no Idempotency-Key, so there is nothing to recall.
      config: { upload: true, replay: async () => null },
      schema: {
        tags,
        security: secured,
        summary: 'Import devices from JSON lines or a table',
        description:
          'A table has a header, cells between commas, semicolons or tabs, and is UTF-8, UTF-16 or Windows-1252: which is found out. Answers when the whole upload was read and judged; the rows are then worked off one job after the other. The same file again does nothing twice.',
        consumes: Object.keys(formats),
        querystring: jobSchemas.NewJobQuery,
        response: { 202: jobSchemas.NewJob, ...refusals },
      },
    },
    async (request, reply) => {
      const { dryRun = false, pin = false, map = [] } = request.query
      if (request.keyed !== null)
        throw new Problem(
          httpProblems,
          'request_invalid',
          'an upload takes no Idempotency-Key: it is safe to send it again',
        )
      if (request.headers['content-encoding'] !== undefined)
        throw unsupported('an upload is not compressed: send it as it is')
      const mapping = readMapping(typeof map === 'string' ? [map] : map)
      if (typeof mapping === 'string') throw new Problem(httpProblems, 'request_invalid', mapping)
      const format = formatOf(request.headers['content-type'])
      if (format === null) throw unsupported('there is no upload')
      const { name: actor, kind: actorKind, requestId } = actorOf(request)
      const bytes = request.raw.iterator({ destroyOnReturn: false })
      const { job, understood } = await imports
        .take(bytes, {
          format,
          mapping,
          pin,
          dryRun,
          actor,
          actorKind,
          requestId,
          assertStillIn: () => assertStillIn(request, reply),
        })
        .finally(() => letGo(request.raw))
      log.jobAdded(callerOf(request), job.id, job.rowsTotal, job.dryRun)
      return reply
        .code(202)
        .header('location', `/v1/jobs/${job.id}`)
        .send({ ...toJobResponse(job), understood })
    },
  )
}

export function jobRoutes(
  api: Api,
  { imports, roll, chainOf, log }: JobServices,
  { isStillIn }: Pick<Authentication, 'isStillIn'>,
): void {
  api.get(
    '/v1/jobs',
    {
      schema: {
        tags,
        security: secured,
        summary: 'List imports, newest first',
        querystring: jobSchemas.JobsQuery,
        response: { 200: jobSchemas.Jobs, ...refusals },
      },
    },
    async request => {
      const { limit = 100, cursor } = request.query
      const { items, next } = imports.jobs(decodeCursor(cursor, isJobKey), limit)
      return { items: items.map(toJobResponse), nextCursor: encodeCursor(next) }
    },
  )

  api.get(
    '/v1/jobs/:job',
    {
      schema: {
        tags,
        security: secured,
        summary: 'See how far an import is',
        params: jobSchemas.JobParams,
        querystring: schemas.NoQuery,
        response: { 200: jobSchemas.Job, ...refusals },
      },
    },
    async request => toJobResponse(known(request.params.job)),
  )

  api.get(
    '/v1/jobs/:job/results',
    {
      schema: {
        tags,
        security: secured,
        summary: 'Read what became of each row, as JSON lines',
        description:
          'In the order of the rows, so far as the job is; with the certificates it brought on the roll.',
        produces: ['application/x-ndjson'],
        params: jobSchemas.JobParams,
        querystring: jobSchemas.ResultsQuery,
        response: { 200: jobSchemas.Lines, ...refusals },
      },
    },
    async (request, reply) => {
      const { outcome, certificates = true } = request.query
      const job = known(request.params.job)
      const asked = { outcome, certificates, isStillIn: () => isStillIn(request) }
      const lines = resultLines(imports.results(job), asked)
      return reply.type('application/x-ndjson').send(Readable.from(lines, { objectMode: false }) as never)
    },
  )

  api.post(
    '/v1/jobs/:job/cancel',
    {
      config: { replay: async done => toJobResponse(known(done.target)) },
      schema: {
        tags,
        security: secured,
        summary: 'Cancel an import: what is done stays, the rest is left',
        params: jobSchemas.JobParams,
        querystring: schemas.NoQuery,
        body: schemas.NoBody,
        response: { 200: jobSchemas.Job, ...refusals },
      },
    },
    async request => {
      const { job } = request.params
      await imports.cancel(job, actorOf(request))
      log.jobCancelled(callerOf(request), job)
      return toJobResponse(known(job))
    },
  )

  function known(id: string): Job {
    const job = imports.job(id)
    if (job === null) throw new Problem(jobProblems, 'job_unknown', `there is no job ${id}`)
    return job
  }

  async function* resultLines(
    results: AsyncIterable<string>,
    asked: { outcome: string | undefined; certificates: boolean; isStillIn(): boolean },
  ) {
    const { outcome, certificates, isStillIn } = asked
    let read = 0
    for await (const line of results) {
      read += 1
      if (read % ASK_EVERY_LINES === 0 && !isStillIn())
        throw new Error('the caller of results has no right to them any more')
      const result = JSON.parse(line) as RowResult
      if (outcome !== undefined && result.outcome !== outcome) continue
      const { fingerprint } = result
      const certificate =
        certificates && fingerprint !== undefined ? await roll.certificate(fingerprint) : null
      if (certificate === null) yield `${line}\n`
      else {
        const { chain } = chainOf(certificate.issuerId)
        yield `${JSON.stringify({ ...result, certificate: toPem(certificate.der, 'CERTIFICATE'), chain })}\n`
      }
    }
  }
}

function formatOf(contentType: string | undefined): UploadFormat | null {
  const type = contentType?.split(';', 1)[0]?.trim().toLowerCase() ?? ''
  return Object.hasOwn(formats, type) ? formats[type]! : null
}

/** A caller that still sends must see the answer, and gets time for that. */
function letGo(raw: IncomingMessage): void {
  if (raw.complete) return
  raw.resume()
  const timer = setTimeout(() => raw.socket.destroy(), LETTING_GO_MS).unref()
  // Once all of it came the connection serves other requests.
  raw.once('end', () => clearTimeout(timer))
}

function unsupported(detail: string): Problem {
  return new Problem(httpProblems, 'media_type_unsupported', detail)
}

function toJobResponse(job: Job): jobSchemas.Job {
  const { actor, actorKind: ____, requestId: _, rowsOffset: __, resultsBytes: ___, ...shown } = job
  const { counts, servedAt: _____, ...facts } = shown
  const none = { registered: 0, enrolled: 0, listed: 0, changed: 0, unchanged: 0, refused: 0 }
  const time = (at: number | null) => (at === null ? null : new Date(at).toISOString())
  return {
    ...facts,
    createdBy: actor,
    counts: { ...none, ...counts },
    createdAt: new Date(job.createdAt).toISOString(),
    startedAt: time(job.startedAt),
    finishedAt: time(job.finishedAt),
  }
}
