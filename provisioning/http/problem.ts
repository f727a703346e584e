// Problem documents (RFC 9457): how the API says why it refuses a request. Each feature keeps a table of its own problems, and
// `server/problem-list.ts` joins the tables. Knows no feature and no HTTP server.

/** What a problem becomes on the wire. `hint` tells the caller what to do. */
export type ProblemDefinition = {
  status: number
  title: string
  hint: string | null
  retryAfterSeconds?: number
}

/** One fault of a request: where it is, and what is wrong. */
export type Fault = { path: string; message: string }

/** A refusal on its way to the caller. `detail` and `errors` are sent to the caller: nothing internal belongs there. */
export class Problem<Reason extends string = string> extends Error {
  readonly reason: Reason
  readonly definition: ProblemDefinition
  readonly errors: readonly Fault[]
  readonly retryAfterSeconds: number | undefined

  /** `table` holds the problems of a feature, `reason` is one of its keys. */
  constructor(
    table: Readonly<Record<Reason, ProblemDefinition>>,
    reason: NoInfer<Reason>,
    detail: string,
    more: { errors?: readonly Fault[]; retryAfterSeconds?: number; cause?: unknown } = {},
  ) {
    super(detail, { cause: more.cause })
    this.name = 'Problem'
    this.reason = reason
    this.definition = table[reason]
    this.errors = more.errors ?? []
    this.retryAfterSeconds = more.retryAfterSeconds ?? this.definition.retryAfterSeconds
  }
}

/** The problem of an order that was refused, with every fault that was found. */
export function refusal<Reason extends string>(
  table: Readonly<Record<Reason, ProblemDefinition>>,
  { refused, faults }: { refused: NoInfer<Reason>; faults: readonly Fault[] },
): Problem<Reason> {
  const detail = faults.map(fault => `${fault.path}: ${fault.message}`).join('; ')
  return new Problem(table, refused, detail || 'nothing was issued or listed', { errors: faults })
}

type ProblemDocument = {
  type: string
  title: string
  status: number
  detail: string
  reason: string
  requestId: string
  hint: string | null
  errors?: readonly Fault[]
}

export function problemDocument(
  { reason, definition, message, errors }: Problem,
  requestId: string,
): ProblemDocument {
  const { title, status, hint } = definition
  return {
    type: `urn:rollcall:problem:${reason}`,
    title,
    status,
    detail: message,
    reason,
    requestId,
    hint,
    ...(errors.length > 0 ? { errors } : {}),
  }
}
