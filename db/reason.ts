// The one list of reasons why somebody is refused or cut, and what each becomes for a device (CONNACK), for an
// operator (problem title, hint) and for a metric (the code itself is the label). docs/reasons.md explains each.
import { listedReasons } from './reason-listed.ts'

/**
 * `seen` says what the device observes:
 * `cut` closed without an MQTT answer · a number: CONNACK return code (MQTT 3.1.1 §3.2.2.3) ·
 * `close` a live session is closed · `0x80` SUBACK failure.
 */
export type ReasonEntry = { seen: 'cut' | 'close' | '0x80' | 1 | 2 | 3 | 4 | 5; title: string; hint: string }

const entries = {
  // before the handshake
  address_rate_limited: {
    seen: 'cut',
    title: 'Too many connections from this address',
    hint: 'Let the device back off; raise the per-address rate if many devices share one address.',
  },
  handshakes_exceeded: {
    seen: 'cut',
    title: 'Too many handshakes at once',
    hint: 'Let devices back off with jitter; raise handshakesMax if the machine has room.',
  },
  connections_exceeded: {
    seen: 'cut',
    title: 'Too many connections',
    hint: 'Raise connectionsMax and the descriptor limit, or add a broker.',
  },
  proxy_header_invalid: {
    seen: 'cut',
    title: 'The load balancer sent no valid PROXY header',
    hint: 'Switch PROXY protocol version 2 on at the balancer, or take its address out of proxyFrom.',
  },
  // during the handshake
  not_tls: {
    seen: 'cut',
    title: 'The connection did not speak TLS',
    hint: 'Use mqtts:// (mosquitto_pub --cafile … --cert … --key …); plain MQTT and HTTP are never answered here.',
  },
  handshake_failed: {
    seen: 'cut',
    title: 'The TLS handshake failed',
    hint: 'Check that the device trusts ca.crt, speaks TLS 1.2 or 1.3, and holds the key of its certificate.',
  },
  handshake_timeout: {
    seen: 'cut',
    title: 'The TLS handshake did not finish in time',
    hint: 'Look for a broken client or a lossy network; raise handshakeTimeoutMs for very slow devices.',
  },
  // strangers
  certificate_missing: {
    seen: 'cut',
    title: 'No client certificate was presented',
    hint: 'Give the client its certificate and key (mosquitto_pub --cert device.crt --key device.key).',
  },
  certificate_unlisted: {
    seen: 'cut',
    title: 'The certificate is not on the roll',
    hint: 'Its issuer is ours but the registry never listed it. Enroll the device: rollcall device enroll.',
  },
  certificate_self_signed: {
    seen: 'cut',
    title: 'The certificate is self-signed and not on the roll',
    hint: 'Enroll the device, or register this certificate as pinned.',
  },
  issuer_unknown: {
    seen: 'cut',
    title: 'The certificate was issued by nobody we trust and is not on the roll',
    hint: 'Enroll the device with this service, or register the certificate as pinned.',
  },
  registration_started: {
    seen: 'cut',
    title: 'The certificate is not on the roll yet: its issuer lets devices register themselves',
    hint: 'The arrival was noted. Let the device connect again; rollcall explain on the certificate tells what came of it.',
  },
  registration_refused: {
    seen: 'cut',
    title: 'The device may not register itself with this certificate',
    hint: 'rollcall issuer arrivals and rollcall explain tell why. Register the device by hand where it is right.',
  },
  registration_limited: {
    seen: 'cut',
    title: 'Too many devices register themselves at once',
    hint: 'Let the device back off and connect again. A flood of them is worth a look at the holder of the issuer key.',
  },
  ...listedReasons,
  // the first packet
  connect_timeout: {
    seen: 'cut',
    title: 'No CONNECT arrived in time',
    hint: 'The client must send CONNECT right after the handshake.',
  },
  connects_exceeded: {
    seen: 'cut',
    title: 'Too many connections of one certificate without CONNECT',
    hint: 'Look whether the key was copied: newer connections of the same certificate took its place. Raise certificatePendingMax for a client that opens many at once.',
  },
  connect_expected: {
    seen: 'cut',
    title: 'The first packet was not CONNECT',
    hint: 'The client must open with CONNECT [MQTT-3.1.0-1]; check that it speaks MQTT over this port.',
  },
  websocket_refused: {
    seen: 'cut',
    title: 'The WebSocket request was refused',
    hint: 'Ask for path /mqtt with the subprotocol mqtt; list the origin of a browser page in webSocketOrigins.',
  },
  packet_too_large: {
    seen: 'cut',
    title: 'A packet declared more bytes than allowed',
    hint: 'Send smaller packets, or raise packetBytesMax (connectBytesMax for CONNECT).',
  },
  packet_malformed: {
    seen: 'cut',
    title: 'A packet was malformed',
    hint: 'Check the client: its bytes are not MQTT 3.1, 3.1.1 or 5.',
  },
  // CONNECT
  protocol_unsupported: {
    seen: 1,
    title: 'The MQTT version is not supported',
    hint: 'Use MQTT 5, 3.1.1 or 3.1 (mosquitto_pub -V mqttv5).',
  },
  client_id_mismatch: {
    seen: 2,
    title: 'The client ID is not the device ID of the certificate',
    hint: 'Set the client ID to the device ID (mosquitto_pub -i DEVICE-ID).',
  },
  client_id_missing: {
    seen: 2,
    title: 'The client ID is empty and the session is not clean',
    hint: 'Set the client ID to the device ID, or ask for a clean session [MQTT-3.1.3-8].',
  },
  username_mismatch: {
    seen: 4,
    title: 'The username is not the device ID of the certificate',
    hint: 'Leave the username out, or set it to the device ID.',
  },
  password_refused: {
    seen: 4,
    title: 'A password was sent',
    hint: 'Leave the password out: the certificate authenticates.',
  },
  authentication_unsupported: {
    seen: 5,
    title: 'An MQTT 5 authentication method was asked for',
    hint: 'Leave the Authentication Method out: the certificate authenticates.',
  },
  policy_unbound: {
    seen: 5,
    title: 'A deny of its policy names a value the device lacks',
    hint: 'Give the device the attribute that the policy names, or change the policy: rollcall policy show.',
  },
  will_denied: {
    seen: 5,
    title: 'The policy does not allow this will',
    hint: 'Use a will topic the policy allows, such as devices/DEVICE-ID/…',
  },
  // live sessions
  publish_denied: {
    seen: 'close',
    title: 'The policy does not allow this publish',
    hint: 'Publish under devices/DEVICE-ID/…, or attach a wider policy.',
  },
  subscribe_denied: {
    seen: '0x80',
    title: 'The policy does not allow this subscription',
    hint: 'Subscribe under devices/DEVICE-ID/…, or attach a wider policy.',
  },
  quota_exceeded: {
    seen: 'close',
    title: 'The device has as much stored at the broker as one device may',
    hint: 'Clear retained messages that are not needed, answer PUBREC with PUBREL, or raise the bound that the log names.',
  },
  message_unstorable: {
    seen: 'close',
    title: 'The database that several brokers share refuses this message',
    hint: 'See in the log what PostgreSQL says: a constraint, a trigger or a damaged index of its own.',
  },
  payload_format_invalid: {
    seen: 'close',
    title: 'A payload was said to be UTF-8 and is not',
    hint: 'Send UTF-8, or leave the Payload Format Indicator out.',
  },
  consumer_too_slow: {
    seen: 'close',
    title: 'The client reads more slowly than messages arrive for it',
    hint: 'Subscribe to less, read faster, or raise outboundBytesMax.',
  },
  session_kicked: {
    seen: 'close',
    title: 'An operator ended the session',
    hint: 'Let the device connect again. To keep it out, suspend it: rollcall device suspend.',
  },
  node_drained: {
    seen: 3,
    title: 'An operator has drained the broker',
    hint: 'Connect to another broker. rollcall status shows which are drained; rollcall node resume ends it.',
  },
  session_too_old: {
    seen: 'close',
    title: 'The session lasted as long as a session may',
    hint: 'Let the device connect again, as after any lost connection; raise maxSessionAgeMs if that is too often.',
  },
  keepalive_timeout: {
    seen: 'close',
    title: 'The client was silent for 1.5 times its keep-alive',
    hint: 'Check the network; the client must send PINGREQ [MQTT-3.1.2-24].',
  },
  // doubt
  registry_unavailable: {
    seen: 'cut',
    title: 'The registry could not be read',
    hint: 'Nobody is admitted while in doubt. Check disk and registry.db; rollcall explain and the log say more.',
  },
  registry_isolated: {
    seen: 'close',
    title: 'The broker has not heard from the registry for too long',
    hint: 'What was revoked since cannot be known there. Look at PostgreSQL and the way to it; devices come back by themselves then.',
  },
  internal_error: {
    seen: 'cut',
    title: 'Something failed on the way to a decision',
    hint: 'In doubt the broker refuses. The log line with this reason carries the error.',
  },
} as const satisfies Record<string, ReasonEntry>

/** Why somebody was refused or cut. Stable: metrics, problems and documents use it as it is. */
export type Reason = keyof typeof entries

export const reasons: Readonly<Record<Reason, ReasonEntry>> = entries

export const reasonCodes = Object.keys(entries) as Reason[]
