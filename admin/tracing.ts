// Spans, if an OpenTelemetry SDK was loaded before (`node --import`). Without one, no object is made.
// Names and attributes are ours and few; callers of ours choose neither, and nobody from outside a trace of theirs.
import {
  type Span as ApiSpan,
  type Attributes,
  context,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  type TimeInput,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import manifest from '../package.json' with { type: 'json' }

export type Span = {
  /** Ends it, now or then (ms since the epoch). Ends once. */
  end(attributes?: Attributes, atMs?: number): void
  /** The same, as something that went wrong. */
  fail(what: string, attributes?: Attributes): void
  /** A part of it that is over already. */
  part(name: string, fromMs: number, toMs: number, attributes?: Attributes): void
  /** What another process continues it by (W3C traceparent). */
  readonly traceparent: string
}

export type SpanOptions = {
  startMs?: number
  attributes?: Attributes
  parent?: string | undefined
  server?: boolean
}

/** Text of others is cut: an attribute is to name something, not to carry it. */
const TEXT_MAX = 256
const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/

let known: Tracer | null | undefined

/** Null where no SDK was loaded before the first question. */
function tracer(): Tracer | null {
  if (known === undefined) {
    const provider = trace.getTracerProvider() as {
      getDelegateTracer?: (name: string, version: string) => Tracer | undefined
    }
    const { version } = manifest
    known = provider.getDelegateTracer
      ? (provider.getDelegateTracer('rollcall', version) ?? null)
      : trace.getTracer('rollcall', version)
  }
  return known
}

/** Whether anybody takes spans: what would be made for them alone need not be. */
export function isTraced(): boolean {
  return tracer() !== null
}

/** Begins a span, under the one that is active or the one named; null where nobody takes it. */
export function beginSpan(name: string, options: SpanOptions = {}): Span | null {
  const made = begin(name, options)
  return made === null ? null : wrap(made)
}

/** Runs work within a span of its own; what it begins is under that one. What it throws goes on. */
export function inSpan<Result>(
  name: string,
  attributes: Attributes,
  work: () => Promise<Result>,
  outcome: (result: Result) => Attributes = () => ({}),
): Promise<Result> {
  const made = begin(name, { attributes })
  if (made === null) return work()
  const span = wrap(made)
  return context.with(trace.setSpan(context.active(), made), work).then(
    result => {
      span.end(outcome(result))
      return result
    },
    error => {
      span.fail((error as { code?: string }).code ?? 'error')
      throw error
    },
  )
}

/** The same for work that goes on in callbacks: they run with the span active. */
export function beginActive(name: string, options: SpanOptions, go: () => void): Span | null {
  const made = begin(name, options)
  if (made === null) {
    go()
    return null
  }
  context.with(trace.setSpan(context.active(), made), go)
  return wrap(made)
}

function begin(name: string, { startMs, attributes, parent, server }: SpanOptions): ApiSpan | null {
  const taker = tracer()
  if (taker === null) return null
  const under = parent === undefined ? context.active() : continued(parent)
  return taker.startSpan(
    name,
    {
      kind: server ? SpanKind.SERVER : SpanKind.INTERNAL,
      ...(startMs === undefined ? {} : { startTime: startMs }),
      attributes: bounded(attributes),
    },
    under,
  )
}

function wrap(span: ApiSpan): Span {
  const { traceId, spanId, traceFlags } = span.spanContext()
  let ended = false
  function end(atMs?: TimeInput): void {
    if (ended) return
    ended = true
    span.end(atMs)
  }
  return {
    traceparent: `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`,
    end(attributes, atMs) {
      if (!ended) span.setAttributes(bounded(attributes))
      end(atMs)
    },
    fail(what, attributes) {
      if (!ended) span.setAttributes(bounded({ ...attributes, 'error.type': what }))
      if (!ended) span.setStatus({ code: SpanStatusCode.ERROR })
      end()
    },
    part(name, fromMs, toMs, attributes) {
      const options = { startTime: fromMs, attributes: bounded(attributes) }
      tracer()?.startSpan(name, options, trace.setSpan(ROOT_CONTEXT, span)).end(toMs)
    },
  }
}

function continued(parent: string) {
  const [, traceId = '', spanId = '', flags = '00'] = TRACEPARENT.exec(parent) ?? []
  if (traceId === '') return ROOT_CONTEXT
  return trace.setSpanContext(ROOT_CONTEXT, {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16),
    isRemote: true,
  })
}

function bounded(attributes: Attributes = {}): Attributes {
  return Object.fromEntries(
    Object.entries(attributes).map(([name, value]) => [
      name,
      typeof value === 'string' ? value.slice(0, TEXT_MAX) : value,
    ]),
  )
}
