// What `node --import` loads before Rollcall in a test: a real OpenTelemetry SDK, whose spans go into a file as JSON lines.
import { appendFileSync } from 'node:fs'
import { context, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  BasicTracerProvider,
  type ReadableSpan,
  SimpleSpanProcessor,
  type SpanExporter,
} from '@opentelemetry/sdk-trace-base'

const file = process.env['SPANS_FILE'] ?? ''

const exporter: SpanExporter = {
  export(spans, done) {
    for (const span of spans) appendFileSync(file, `${JSON.stringify(plain(span))}\n`)
    done({ code: 0 })
  },
  shutdown: async () => {},
}

function plain(span: ReadableSpan) {
  const { traceId, spanId } = span.spanContext()
  const ms = ([seconds, nanoseconds]: [number, number]) => seconds * 1_000 + nanoseconds / 1e6
  return {
    pid: process.pid,
    name: span.name,
    attributes: span.attributes,
    status: span.status.code,
    traceId,
    spanId,
    parentId: span.parentSpanContext?.spanId ?? null,
    tookMs: ms(span.endTime) - ms(span.startTime),
  }
}

context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
trace.setGlobalTracerProvider(
  new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }),
)
