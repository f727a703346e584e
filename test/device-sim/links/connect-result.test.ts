// What a device saw and what it means: the pure part.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  type ConnectResult,
  isRefusal,
  resultAtClose,
  resultName,
  type Stage,
} from '../../../device-sim/links/connect-result.ts'

describe('the end of a connection', () => {
  const rows: [Stage, string | null, string, boolean][] = [
    ['tcp', 'ECONNREFUSED', 'unreachable_econnrefused', false],
    ['tcp', 'ENOTFOUND', 'unreachable_enotfound', false],
    ['tcp', null, 'unreachable_closed', false],
    ['tls', 'ECONNRESET', 'closed_before_handshake', false],
    ['tls', null, 'closed_before_handshake', false],
    ['tls', 'ERR_SOCKET_CLOSED', 'closed_before_handshake', false],
    ['tls', 'ERR_SSL_WRONG_VERSION_NUMBER', 'failed_err_ssl_wrong_version_number', false],
    ['tls', 'ERR_TLS_CERT_ALTNAME_INVALID', 'server_not_trusted_err_tls_cert_altname_invalid', false],
    ['tls', 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', 'tls_alert_protocol_version', false],
    ['tls', 'ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR', 'tls_alert_internal_error', false],
    ['tls', 'ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE', 'tls_alert_handshake_failure', true],
    ['mqtt', 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'tls_alert_certificate_required', true],
    ['mqtt', 'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', 'tls_alert_unknown_ca', true],
    ['mqtt', 'ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_EXPIRED', 'tls_alert_certificate_expired', true],
    ['mqtt', 'ECONNRESET', 'closed_after_handshake', true],
    ['mqtt', 'EPIPE', 'closed_after_handshake', true],
    ['mqtt', null, 'closed_after_handshake', true],
    ['mqtt', 'ETIMEDOUT', 'timeout_mqtt', false],
  ]
  for (const [stage, code, name, refusal] of rows) {
    it(`reads ${code ?? 'no error'} in stage ${stage} as ${name}, ${refusal ? 'a refusal' : 'no proof'}`, () => {
      const result = resultAtClose(stage, code === null ? null : Object.assign(new Error(), { code }), false)
      assert.equal(resultName(result), name)
      assert.equal(isRefusal(result), refusal)
    })
  }

  it('never takes silence, absence or admission for a refusal', () => {
    const rows: ConnectResult[] = [
      { kind: 'admitted' },
      { kind: 'cancelled' },
      { kind: 'timeout', stage: 'mqtt' },
      { kind: 'server_not_trusted', code: 'SELF_SIGNED_CERT_IN_CHAIN' },
    ]
    assert.deepEqual(rows.map(isRefusal), [false, false, false, false])
    assert.ok(isRefusal({ kind: 'connack', code: 5 }))
  })
})
