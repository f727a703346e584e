// What each reason becomes for a device that speaks MQTT 5: the Reason Code of CONNACK, of DISCONNECT and of the packet
// that acknowledges a request, and its Reason String. Does not know their sender.
import { type Reason, reasons } from './reason.ts'

/** Reason Codes of MQTT 5 §3.2.2.2 (CONNACK), §3.14.2.1 (DISCONNECT from a server), §3.4.2.1, §3.5.2.1, §3.9.3 (acknowledgements). */
type ConnackCode =
  | 0x81
  | 0x82
  | 0x84
  | 0x85
  | 0x86
  | 0x87
  | 0x8a
  | 0x8c
  | 0x90
  | 0x95
  | 0x97
  | 0x99
  | 0x9a
  | 0x9b
  | 0x9c
type DisconnectCode =
  | 0x81
  | 0x82
  | 0x87
  | 0x8b
  | 0x8d
  | 0x8e
  | 0x8f
  | 0x90
  | 0x93
  | 0x94
  | 0x95
  | 0x96
  | 0x97
  | 0x98
  | 0x9c
type AckCode = 0x83 | 0x87 | 0x8f | 0x90 | 0x97 | 0x99

/**
 * `connack` answers CONNECT, `disconnect` precedes the end of a live session, `ack` answers a PUBLISH or SUBSCRIBE and the
 * connection stays. Null: no such packet is sent. Strangers learn nothing; a device that shall come back is closed without
 * DISCONNECT, since clients take it for final.
 */
export type V5Codes = {
  connack: ConnackCode | null
  disconnect: DisconnectCode | null
  ack: AckCode | null
}

const nothing = { connack: null, disconnect: null, ack: null } as const satisfies V5Codes
/** Not authorized; the end of a live session is an administrative action. */
const notAuthorized = { connack: 0x87, disconnect: 0x98, ack: null } as const satisfies V5Codes
/** Banned by administrative action; the Reason Code exists for CONNACK alone. */
const banned = { connack: 0x8a, disconnect: 0x98, ack: null } as const satisfies V5Codes
const inConnack = <Code extends ConnackCode>(connack: Code) =>
  ({ connack, disconnect: null, ack: null }) as const
const inAck = <Code extends AckCode>(ack: Code) => ({ connack: null, disconnect: null, ack }) as const

const codes = {
  // before the handshake, and during it
  address_rate_limited: nothing,
  handshakes_exceeded: nothing,
  connections_exceeded: nothing,
  proxy_header_invalid: nothing,
  not_tls: nothing,
  handshake_failed: nothing,
  handshake_timeout: nothing,
  // strangers
  certificate_missing: nothing,
  certificate_unlisted: nothing,
  certificate_self_signed: nothing,
  issuer_unknown: nothing,
  registration_started: nothing,
  registration_refused: nothing,
  registration_limited: nothing,
  // listed, but may not enter
  certificate_pending: notAuthorized,
  certificate_rejected: notAuthorized,
  certificate_suspended: banned,
  certificate_superseded: notAuthorized,
  certificate_retired: notAuthorized,
  certificate_lapsed: notAuthorized,
  certificate_revoked: banned,
  certificate_revoked_by_issuer: banned,
  certificate_expired: notAuthorized,
  certificate_not_yet_valid: notAuthorized,
  certificate_usage_forbidden: notAuthorized,
  certificate_is_ca: notAuthorized,
  certificate_unreadable: notAuthorized,
  certificate_extension_unknown: notAuthorized,
  certificate_key_usage_forbidden: notAuthorized,
  certificate_signature_weak: notAuthorized,
  key_unacceptable: notAuthorized,
  chain_unverified: notAuthorized,
  issuer_disabled: notAuthorized,
  issuer_revoked: notAuthorized,
  issuer_constrained: notAuthorized,
  issuer_path_exceeded: notAuthorized,
  issuer_expired: notAuthorized,
  device_suspended: banned,
  device_decommissioned: banned,
  // the first packet: its version is not known where there is none
  connect_timeout: nothing,
  connects_exceeded: nothing,
  connect_expected: nothing,
  websocket_refused: nothing,
  packet_too_large: { connack: 0x95, disconnect: 0x95, ack: null },
  packet_malformed: { connack: 0x81, disconnect: 0x81, ack: null },
  // CONNECT
  protocol_unsupported: inConnack(0x84),
  client_id_mismatch: inConnack(0x85),
  client_id_missing: inConnack(0x85),
  username_mismatch: inConnack(0x86),
  password_refused: inConnack(0x86),
  authentication_unsupported: inConnack(0x8c),
  policy_unbound: notAuthorized,
  will_denied: inConnack(0x87),
  // live sessions
  publish_denied: inAck(0x87),
  quota_exceeded: inAck(0x97),
  message_unstorable: inAck(0x83),
  subscribe_denied: inAck(0x87),
  payload_format_invalid: { connack: 0x99, disconnect: null, ack: 0x99 },
  consumer_too_slow: nothing,
  session_kicked: { connack: null, disconnect: 0x98, ack: null },
  node_drained: { connack: 0x9c, disconnect: 0x9c, ack: null },
  session_too_old: nothing,
  keepalive_timeout: { connack: null, disconnect: 0x8d, ack: null },
  // doubt: a device refused in doubt shall try again
  registry_unavailable: nothing,
  registry_isolated: nothing,
  internal_error: nothing,
} as const satisfies Record<Reason, V5Codes>

/** The Reason Codes of a reason. A reason without an entry does not compile. */
export const v5Codes: Readonly<Record<Reason, V5Codes>> = codes

/** The Reason String of MQTT 5: `code: what to do`. For devices on the roll only. */
export function reasonString(reason: Reason): string {
  return `${reason}: ${reasons[reason].hint}`
}

/** What a client is told for a reason: by version 5 a Reason Code, by 3.1.1 the return code of CONNACK; null for no packet. */
export function answersTo(reason: Reason): { mqtt5: string | null; mqtt311: number | null } {
  const { connack, disconnect, ack } = codes[reason] as V5Codes
  const code = connack ?? disconnect ?? ack
  const { seen } = reasons[reason]
  return {
    mqtt5: code === null ? null : reasonCodeText(code),
    mqtt311: typeof seen === 'number' ? seen : null,
  }
}

/** A Reason Code as it is written: `0x8e`. */
export function reasonCodeText(code: number): string {
  return `0x${code.toString(16).padStart(2, '0')}`
}
