// What was seen, what it means, and what a run is worth: the pure parts.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isRefusal, nameOf, type Seen, type Stage, seenAtClose } from '../../device-sim/links/seen.ts'
import { createLatency } from '../../device-sim/measurements.ts'
import type { RogueProof, RogueVerdict } from '../../device-sim/rogue-proof.ts'
import { judge, type VerdictInput } from '../../device-sim/verdict.ts'

describe('the end of a connection', () => {
  const rows: [Stage, string | null, string, boolean][] = [
    ['tcp', 'ECONNREFUSED', 'unreachable_econnrefused', false],
    ['tcp', 'ENOTFOUND', 'unreachable_enotfound', false],
    ['tcp', null, 'unreachable_closed', false],
    ['tls', 'ECONNRESET', 'closed_before_handshake', false],
    ['tls', null, 'closed_before_handshake', false],
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
      const seen = seenAtClose(stage, code === null ? null : Object.assign(new Error(), { code }), false)
      assert.equal(nameOf(seen), name)
      assert.equal(isRefusal(seen), refusal)
    })
  }

  it('never takes silence, absence or admission for a refusal', () => {
    const rows: Seen[] = [
      { kind: 'admitted' },
      { kind: 'cancelled' },
      { kind: 'timeout', stage: 'mqtt' },
      { kind: 'server_not_trusted', code: 'SELF_SIGNED_CERT_IN_CHAIN' },
    ]
    assert.deepEqual(rows.map(isRefusal), [false, false, false, false])
    assert.ok(isRefusal({ kind: 'connack', code: 5 }))
  })
})

describe('the verdict', () => {
  const good: VerdictInput = {
    interrupted: false,
    fates: { not_started: 0, connecting: 0, connected: 5, dropped: 0, refused: 0, unreachable: 0 },
    lost: 0,
    subscribeRefused: 0,
    roguesWanted: 0,
    proof: null,
  }
  const rows: [string, Partial<VerdictInput>, number][] = [
    ['all is well', {}, 0],
    ['a rogue was refused', { roguesWanted: 1, proof: proofOf('refused') }, 0],
    ['a rogue got in', { roguesWanted: 1, proof: proofOf('admitted') }, 99],
    ['nothing was proven of a rogue', { roguesWanted: 1, proof: proofOf('inconclusive') }, 1],
    [
      'one got in beside an inconclusive one',
      { roguesWanted: 1, proof: proofOf('inconclusive', 'admitted') },
      99,
    ],
    ['rogues were wanted and not tried', { roguesWanted: 1 }, 1],
    ['a device was refused', { fates: { ...good.fates, refused: 1 } }, 99],
    ['a device was dropped for good', { fates: { ...good.fates, dropped: 1 } }, 99],
    ['a message was lost', { lost: 1 }, 99],
    ['a subscription was refused', { subscribeRefused: 1 }, 99],
    ['the broker was not there', { fates: { ...good.fates, unreachable: 1 } }, 1],
    ['a device still waits at the end', { fates: { ...good.fates, connecting: 1 } }, 1],
    [
      'a device still waits when interrupted',
      { interrupted: true, fates: { ...good.fates, connecting: 1 } },
      0,
    ],
    [
      'not all had started when interrupted',
      { interrupted: true, fates: { ...good.fates, not_started: 4 } },
      0,
    ],
  ]
  for (const [when, change, exitCode] of rows) {
    it(`is ${exitCode} when ${when}`, () => {
      const verdict = judge({ ...good, ...change })
      assert.equal(verdict.exitCode, exitCode)
      assert.equal(verdict.passed, exitCode === 0)
      assert.equal(verdict.breaches.length > 0, exitCode !== 0)
    })
  }
})

describe('latency', () => {
  it('reads percentiles in milliseconds', () => {
    const latency = createLatency()
    assert.equal(latency.read().p50, null)
    for (let ms = 1; ms <= 1_000; ms++) latency.record(ms)
    const { count, p50, p95, p99 } = latency.read()
    assert.equal(count, 1_000)
    for (const [value, expected] of [
      [p50, 500],
      [p95, 950],
      [p99, 990],
    ]) {
      assert.ok(Math.abs(value! - expected!) <= expected! * 0.002, `${value} is not ${expected}`)
    }
  })
})

function proofOf(...verdicts: RogueVerdict[]): RogueProof {
  return {
    refused: 0,
    admitted: 0,
    inconclusive: 0,
    control: { before: 'admitted', after: 'admitted' },
    results: verdicts.map(verdict => {
      return { kind: 'expired', deviceId: 'a', clientId: 'a', verdict, saw: 'x', tries: 1 }
    }),
  }
}
