// The result of an attempt to connect, as the device sees it, and whether it proves a refusal. Pure. Does not know which result
// was expected.

export type ConnectResult =
  | { kind: 'admitted' }
  | { kind: 'connack'; code: number }
  | { kind: 'tls_alert'; alert: string }
  | { kind: 'closed_after_handshake' }
  /** TCP opened and closed again before TLS stood: a limit or a dying server, not a decision about the certificate. */
  | { kind: 'closed_before_handshake' }
  /** The device refused: it does not trust the server's certificate. */
  | { kind: 'server_not_trusted'; code: string }
  | { kind: 'unreachable'; code: string }
  | { kind: 'timeout'; stage: Stage }
  | { kind: 'failed'; code: string }
  /** Ours alone: the handshake was all that was wanted. */
  | { kind: 'handshake_only' }
  | { kind: 'cancelled' }

export type Stage = 'tcp' | 'tls' | 'mqtt'

/** A short, stable name of the result, as used in counts and reports. */
export function resultName(result: ConnectResult): string {
  switch (result.kind) {
    case 'connack':
      return result.code >= 0x80 ? `connack_${hex(result.code)}` : `connack_${result.code}`
    case 'tls_alert':
      return `tls_alert_${result.alert}`
    case 'timeout':
      return `timeout_${result.stage}`
    case 'unreachable':
    case 'server_not_trusted':
    case 'failed':
      return `${result.kind}_${result.code.toLowerCase()}`
    default:
      return result.kind
  }
}

/** A Reason Code of MQTT 5 as the standard writes it: 0x8A. */
export function hex(code: number): string {
  return `0x${code.toString(16).toUpperCase().padStart(2, '0')}`
}

// Alerts about the device's certificate. The others (protocol_version, internal_error …) only say that TLS did not work out.
const judgingAlerts = new Set([
  'access_denied',
  'bad_certificate',
  'certificate_expired',
  'certificate_required',
  'certificate_revoked',
  'certificate_unknown',
  'decrypt_error',
  'handshake_failure',
  'unknown_ca',
  'unsupported_certificate',
])

/** True only where the broker was seen to turn the device away: silence and absence prove nothing. */
export function isRefusal(result: ConnectResult): boolean {
  if (result.kind === 'tls_alert') return judgingAlerts.has(result.alert)
  return result.kind === 'connack' || result.kind === 'closed_after_handshake'
}

/** `ERR_SOCKET_CLOSED` is Bun's. */
const closing = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED', 'ERR_SOCKET_CLOSED'])

/** How a socket's end is to be read, from how far it got and what the last error was. */
export function resultAtClose(stage: Stage, error: Error | null, serverNotTrusted: boolean): ConnectResult {
  const code = error ? codeOf(error) : ''
  const alert = /ALERT_(?:NUMBER_)?(\w+)$/.exec(code)?.[1]
  if (alert) return { kind: 'tls_alert', alert: alert.toLowerCase() }
  if (stage === 'tcp') return { kind: 'unreachable', code: code || 'closed' }
  if (serverNotTrusted || code === 'ERR_TLS_CERT_ALTNAME_INVALID') return { kind: 'server_not_trusted', code }
  if (code === 'ETIMEDOUT') return { kind: 'timeout', stage }
  if (code !== '' && !closing.has(code)) return { kind: 'failed', code }
  return { kind: stage === 'tls' ? 'closed_before_handshake' : 'closed_after_handshake' }
}

/** Where a write fails because TLS did not work out, Node says EPROTO, and what it was in the text of OpenSSL alone. */
export function codeOf(error: Error): string {
  const { code, message } = error as NodeJS.ErrnoException
  const reason = code === 'EPROTO' ? /:SSL routines:[^:]*:([^:]+)/.exec(message)?.[1] : undefined
  return (reason === undefined ? String(code ?? message) : `ERR_SSL_${reason.toUpperCase()}`).replace(
    /\W+/g,
    '_',
  )
}
