// What the routes about imports and exports take and give. jobs/row.ts validates the rows.
import Type, { type Static } from 'typebox'
import { certificateStatuses } from '../../db/schema.ts'
import { deviceStates, Name, Nullable, OneOf, PageOf, paging, strict, Time } from '../http/schemas.ts'
import { deviceFilters } from '../roll/device-query.ts'

const Uuid = Type.String({ pattern: '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' })

export const JobParams = Type.Object({ job: Uuid }, strict)
export const JobsQuery = Type.Object(paging, strict)
const Pair = Type.String({ maxLength: 401 })
export const NewJobQuery = Type.Object(
  {
    dryRun: Type.Optional(Type.Boolean({ default: false })),
    pin: Type.Optional(
      Type.Boolean({
        default: false,
        description: 'Whether every certificate of a row is pinned, whatever its issuer',
      }),
    ),
    map: Type.Optional(
      Type.Union([Pair, Type.Array(Pair, { maxItems: 60 })], {
        description: 'FIELD=COLUMN, several times: which column of the file stands for which field',
      }),
    ),
  },
  strict,
)
export const ResultsQuery = Type.Object(
  {
    outcome: Type.Optional(
      OneOf(['registered', 'enrolled', 'listed', 'changed', 'unchanged', 'refused'] as const),
    ),
    certificates: Type.Optional(
      Type.Boolean({
        default: true,
        description: 'Whether each line holds its certificate and chain in PEM',
      }),
    ),
  },
  strict,
)

export const ExportQuery = Type.Object(
  {
    format: Type.Optional(OneOf(['ndjson', 'csv'] as const)),
    state: Type.Optional(OneOf(deviceStates)),
    group: Type.Optional(Name),
    ...deviceFilters,
    status: Type.Optional(OneOf(certificateStatuses)),
    pem: Type.Optional(
      Type.Boolean({ default: true, description: 'Whether JSON lines hold each certificate itself' }),
    ),
  },
  strict,
)

const count = Type.Integer()
const jobFields = {
  id: Uuid,
  state: OneOf(['waiting', 'running', 'done', 'cancelled', 'failed'] as const),
  dryRun: Type.Boolean(),
  createdBy: Type.String(),
  rowsTotal: count,
  rowsDone: count,
  counts: Type.Object({
    registered: count,
    enrolled: count,
    listed: count,
    changed: count,
    unchanged: count,
    refused: count,
  }),
  error: Nullable(Type.String()),
  service: Nullable(
    Type.String({ description: 'Of several services the machine of the one that has its rows' }),
  ),
  createdAt: Time,
  startedAt: Nullable(Time),
  finishedAt: Nullable(Time),
}
export const Job = Type.Object(jobFields)
/** With how the file was understood. */
export const NewJob = Type.Object({
  ...jobFields,
  understood: Type.Object({
    encoding: OneOf(['UTF-8', 'UTF-16', 'Windows-1252'] as const),
    delimiter: Nullable(OneOf([',', ';', '\t'] as const)),
    columns: Type.Array(
      Type.Object({
        column: Type.String(),
        field: Nullable(Type.String({ description: 'Null for a column that stands for no field' })),
      }),
      { description: 'Of a table' },
    ),
  }),
})
export type Job = Static<typeof Job>
export const Jobs = PageOf(Job)
/** JSON lines; OpenAPI has no word for them. */
export const Lines = Type.String({ description: 'JSON lines (application/x-ndjson)' })
