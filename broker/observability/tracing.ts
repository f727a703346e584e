// Spans of an admission: handshake and decision at the gate, CONNECT in the engine, which may be another process; and of a change
// that was acted on. Attributes are those of the log: device, fingerprint, reason.
import type { Duplex } from 'node:stream'
import { beginSpan, isTraced, type Span } from '../../admin/tracing.ts'
import type { Reason } from '../../db/reason.ts'
import type { ConnectionHandler } from '../connection-handler.ts'

export type TracedAdmission = {
  handshakeMs: number
  decisionMs: number
  fingerprint: string | null
  deviceId: string | null
  /** Null for admitted. */
  reason: Reason | null
  resumed: boolean
}

/** Returns the `traceparent` for the engine's span; undefined without tracing. */
export function traceAdmission(of: () => TracedAdmission): string | undefined {
  if (!isTraced()) return undefined
  const { handshakeMs, decisionMs, fingerprint, deviceId, reason, resumed } = of()
  const now = Date.now()
  const decidingSince = now - decisionMs
  const acceptedAt = decidingSince - handshakeMs
  const span = beginSpan('rollcall.admission', { startMs: acceptedAt, server: true })
  span?.part('tls.handshake', acceptedAt, decidingSince, { 'tls.resumed': resumed })
  span?.part('rollcall.decision', decidingSince, now)
  span?.end({
    'rollcall.admitted': reason === null,
    ...(reason === null ? {} : { 'rollcall.reason': reason }),
    ...(fingerprint === null ? {} : { 'rollcall.fingerprint': fingerprint }),
    ...(deviceId === null ? {} : { 'rollcall.device_id': deviceId }),
  })
  return span?.traceparent
}

/** The same handler, with a span from its call to CONNACK; without tracing the handler itself. */
export function traceConnections(handleConnection: ConnectionHandler): ConnectionHandler {
  if (!isTraced()) return handleConnection
  return connection => {
    const { identity, trace } = connection
    const attributes = { 'rollcall.device_id': identity.deviceId }
    const span = beginSpan('rollcall.connect', { attributes, parent: trace })
    if (span !== null) endAtConnack(connection.stream, span)
    return handleConnection(connection)
  }
}

/** Its return code is the fourth byte of all that is written (MQTT 3.1.1 §3.2). */
function endAtConnack(stream: Duplex, span: Span): void {
  let seen = 0
  const { write, end } = stream
  const look = (chunk: unknown) => {
    if (!(chunk instanceof Uint8Array)) return
    const code = chunk[3 - seen]
    seen += chunk.length
    if (code === undefined) return
    Object.assign(stream, { write, end })
    if (code === 0) span.end({ 'rollcall.connack': code })
    else span.fail('refused', { 'rollcall.connack': code })
  }
  Object.assign(stream, {
    write(...given: Parameters<typeof write>) {
      look(given[0])
      return write.apply(stream, given)
    },
    end(...given: Parameters<typeof end>) {
      look(given[0])
      return end.apply(stream, given)
    },
  })
  stream.once('close', () => span.fail('closed'))
}

/** A span from the commit of a change until the broker has acted on it. */
export function traceChange(epoch: number, sessionsCut: number, committedAt: number, at: number): void {
  if (!isTraced()) return
  const attributes = { 'rollcall.epoch': epoch, 'rollcall.sessions_cut': sessionsCut }
  beginSpan('rollcall.change', { startMs: committedAt, attributes })?.end({}, at)
}
