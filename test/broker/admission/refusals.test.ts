// Every way to arrive without a right to enter: the reason on record, and what the device sees of it.
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { test } from 'node:test'
import type { BrokerSettings } from '../../../broker/settings/validation.ts'
import type { Reason } from '../../../db/reason.ts'
import { selfSigned, usage } from '../../harness/authority.ts'
import { connectPacket, type Seen, startTestBroker, type TestBroker } from '../../harness/broker.ts'
import { notOnBun } from '../../harness/runtime.ts'
import { until } from '../../harness/until.ts'
import { listedInCrl, registeringItself, strangerOfAnchor } from './anchor-attempts.ts'
import {
  arriveAsking,
  arriveClaiming,
  arriveInState,
  arriveListed,
  arrivePlain,
  arriveSaying,
  arriveSilent,
  arriveUnderDisabled,
  arriveUnlisted,
  arriveWith,
  arriveWithStatus,
  HOUR_MS,
  inFuture,
  MINUTE_MS,
  only,
  past,
  replaceFile as replace,
} from './attempts.ts'
import {
  fromCaOfSameName,
  fromDeviceThatSigns,
  listedUnderWrongIssuer,
  resumeFromElsewhere,
  underExpiredIssuer,
  withRegistryFile,
  withSerialOfAnother,
  withUnreadableRegistry,
} from './unusual-attempts.ts'

type Way = [
  how: string,
  /** `null` marks the good side of a boundary: it gets in. */
  reason: Reason | null,
  seen: Seen,
  arrive: (t: TestBroker) => Promise<Seen>,
  /** The refusing part: the gate, before any byte is parsed as MQTT, if not given. */
  judge?: 'engine',
]

/** What a rightful visit sends before it loses its right: CONNECT as d1, then DISCONNECT. */
const VISIT_BYTES = connectPacket({ clientId: 'd1' }).length + 2

/** Bytes that were read as MQTT. */
async function mqttBytes(t: TestBroker): Promise<number> {
  return Number(/^rollcall_mqtt_received_bytes_total (\d+)/m.exec(await t.broker.metrics())?.[1])
}

/** Where a deadline is what ends the visit it is short, that one alone; elsewhere a busy machine gets its time. */
const quick: Partial<Record<Reason, Partial<BrokerSettings>>> = {
  username_mismatch: { usernames: 'strict' },
  password_refused: { usernames: 'strict' },
  handshake_timeout: { handshakeTimeoutMs: 150 },
  connect_timeout: { connectTimeoutMs: 250 },
}
const weak = { ciphers: 'DEFAULT@SECLEVEL=0' }

// biome-ignore format: one way a line
const ways: Way[] = [
  // strangers
  ['no certificate', 'certificate_missing', 'cut', t => arriveWith(t)],
  ['a certificate of our CA that was never listed', 'certificate_unlisted', 'cut', t => arriveUnlisted(t)],
  ['a foreign CA that carries the names of ours', 'issuer_unknown', 'cut', fromCaOfSameName],
  ['a self-signed certificate', 'certificate_self_signed', 'cut', async t => arriveWith(t, await selfSigned({ name: 'd1' }))],
  ['our server certificate as a client', 'certificate_unlisted', 'cut', t => arriveUnlisted(t, { usages: [usage.serverAuth] })],
  ['a certificate that a device issued with its own', 'issuer_unknown', 'cut', fromDeviceThatSigns],
  ['a claim certificate', 'certificate_unlisted', 'cut', arriveClaiming],
  ['an unlisted CA certificate of ours', 'certificate_unlisted', 'cut', t => arriveUnlisted(t, { ca: true })],
  ['a common name with NUL behind it', 'certificate_unlisted', 'cut', t => arriveUnlisted(t, { name: 'd1\0.evil' })],
  ['a common name that looks alike', 'certificate_unlisted', 'cut', t => arriveUnlisted(t, { name: 'ԁ1' })],
  ['a common name that differs in case', 'certificate_unlisted', 'cut', t => arriveUnlisted(t, { name: 'D1' })],
  ['a repeated common name', 'certificate_unlisted', 'cut', t => arriveUnlisted(t, { subject: [{ CN: ['d1'] }, { CN: ['d2'] }] })],
  ['reordered names', 'certificate_unlisted', 'cut', t => arriveUnlisted(t, { subject: [{ O: ['x'] }, { CN: ['d1'] }] })],
  ['an equals sign inside a name', 'certificate_unlisted', 'cut', t => arriveUnlisted(t, { name: 'x\nCN=d1' })],
  ['the issuer and serial of a listed one, with another key', 'certificate_unlisted', 'cut', withSerialOfAnother],
  ['an unlisted certificate that has expired too', 'certificate_unlisted', 'cut', t => arriveUnlisted(t, past)],
  ['a certificate of a trust anchor that was never listed', 'certificate_unlisted', 'cut', strangerOfAnchor],
  ['one that wants to register itself', 'registration_started', 'cut', t => registeringItself(t)],
  ['one that may not register itself', 'registration_refused', 'cut', t => registeringItself(t, true)],
  // on the roll, but may not enter
  ["a certificate that its issuer's CRL lists", 'certificate_revoked_by_issuer', 'connack 5', t => listedInCrl(t, 'own')],
  ['an issuer that the CRL above it lists', 'issuer_revoked', 'connack 5', t => listedInCrl(t, 'above')],
  ['a pending certificate', 'certificate_pending', 'connack 5', t => arriveWithStatus(t, 'pending')],
  ['a rejected certificate', 'certificate_rejected', 'connack 5', t => arriveWithStatus(t, 'rejected')],
  ['a suspended certificate', 'certificate_suspended', 'connack 5', t => arriveWithStatus(t, 'suspended')],
  ['a retired certificate', 'certificate_retired', 'connack 5', t => arriveWithStatus(t, 'retired')],
  ['a lapsed certificate', 'certificate_lapsed', 'connack 5', t => arriveWithStatus(t, 'lapsed')],
  ['a revoked certificate', 'certificate_revoked', 'connack 5', t => arriveWithStatus(t, 'revoked')],
  ['a superseded certificate past its grace', 'certificate_superseded', 'connack 5', t => arriveWithStatus(t, 'superseded', Date.now() - 1)],
  ['a superseded certificate without grace', 'certificate_superseded', 'connack 5', t => arriveWithStatus(t, 'superseded')],
  ['a superseded certificate within its grace', null, 'connack 0', t => arriveWithStatus(t, 'superseded', Date.now() + MINUTE_MS)],
  ['an expired certificate', 'certificate_expired', 'connack 5', t => arriveListed(t, past)],
  ['a certificate valid in an hour', 'certificate_not_yet_valid', 'connack 5', t => arriveListed(t, { notBefore: inFuture(HOUR_MS) })],
  ['a certificate valid in six minutes', 'certificate_not_yet_valid', 'connack 5', t => arriveListed(t, { notBefore: inFuture(6 * MINUTE_MS) })],
  ['a certificate valid in four minutes', null, 'connack 0', t => arriveListed(t, { notBefore: inFuture(4 * MINUTE_MS) })],
  ['a certificate for servers', 'certificate_usage_forbidden', 'connack 5', t => arriveListed(t, { usages: [usage.serverAuth] })],
  ['a certificate without extended key usage', null, 'connack 0', t => arriveListed(t, { usages: null })],
  ['a listed CA certificate', 'certificate_is_ca', 'connack 5', t => arriveListed(t, { ca: true })],
  ['an RSA key of 1024 bits', 'key_unacceptable', 'connack 5', t => arriveListed(t, { keyType: 'rsa1024' }, weak)],
  // The listener offers no signature for it, so a client holds its certificate back.
  ['a key on P-521', 'certificate_missing', 'cut', t => arriveListed(t, { keyType: 'p521' })],
  ['a suspended device', 'device_suspended', 'connack 5', t => arriveInState(t, 'suspended')],
  ['a decommissioned device', 'device_decommissioned', 'connack 5', t => arriveInState(t, 'decommissioned')],
  ['an issuer that was disabled', 'issuer_disabled', 'connack 5', t => arriveUnderDisabled(t, t.roll.issuerId)],
  ['a root that was disabled', 'issuer_disabled', 'connack 5', t => arriveUnderDisabled(t, t.roll.rootId)],
  ['an issuer that has expired', 'issuer_expired', 'connack 5', underExpiredIssuer],
  ['a listing under an issuer that never signed it', 'chain_unverified', 'connack 5', listedUnderWrongIssuer],
  // resumption
  ['a session of another listener', 'certificate_missing', 'cut', resumeFromElsewhere],
  // a registry in doubt
  ['a registry that cannot be read', 'registry_unavailable', 'cut', withUnreadableRegistry],
  ['a registry that is gone', 'registry_unavailable', 'cut', t => withRegistryFile(t, file => rmSync(file))],
  ['a registry that was replaced', 'registry_unavailable', 'cut', t => withRegistryFile(t, file => replace(file, ''))],
  ['a registry replaced by noise', 'registry_unavailable', 'cut', t => withRegistryFile(t, file => replace(file, 'noise'.repeat(9_999)))],
  // no TLS, or not enough of it
  ['MQTT over plain TCP', 'not_tls', 'cut', t => arrivePlain(t, connectPacket({ clientId: 'd1' }))],
  ['HTTP on the MQTT port', 'not_tls', 'cut', t => arrivePlain(t, 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')],
  ['a PROXY protocol header', 'not_tls', 'cut', t => arrivePlain(t, 'PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n')],
  ['TLS 1.1', 'handshake_failed', 'cut', t => arriveListed(t, {}, { ...weak, minVersion: 'TLSv1', maxVersion: 'TLSv1.1' })],
  ['a static RSA suite', 'handshake_failed', 'cut', t => arriveListed(t, {}, { ...only('TLSv1.2'), ciphers: 'AES128-GCM-SHA256' })],
  ['a CBC suite', 'handshake_failed', 'cut', t => arriveListed(t, {}, { ...only('TLSv1.2'), ciphers: 'ECDHE-ECDSA-AES128-SHA' })],
  ['a connection that never begins its handshake', 'handshake_timeout', 'cut', t => arrivePlain(t, '')],
  ['a handshake that stops halfway', 'handshake_timeout', 'cut', t => arrivePlain(t, Buffer.from('1603010200', 'hex'))],
  // a handshake, then no proper CONNECT
  ['silence after the handshake', 'connect_timeout', 'cut', arriveSilent],
  ['half a fixed header', 'connect_timeout', 'cut', t => arriveSaying(t, Buffer.from([0x10, 0x80]))],
  ['noise after the handshake', 'connect_expected', 'cut', t => arriveSaying(t, Buffer.from('\x16\x03 noise'))],
  ['PUBLISH first', 'connect_expected', 'cut', t => arriveSaying(t, Buffer.from('300500016461', 'hex'))],
  ['CONNECT with reserved flags', 'connect_expected', 'cut', t => arriveSaying(t, Buffer.from('1f0c00044d515454', 'hex'))],
  ['CONNECT that declares 256 MB', 'packet_too_large', 'cut', t => arriveSaying(t, Buffer.from('10ffffff7f00044d515454', 'hex'))],
  ['CONNECT one byte over the limit', 'packet_too_large', 'cut', t => arriveSaying(t, Buffer.from([0x10, 0x81, 0x80, 0x04]))],
  ['a remaining length of five octets', 'packet_malformed', 'cut', t => arriveSaying(t, Buffer.from('10ffffffff01', 'hex'))],
  ['another protocol name', 'packet_malformed', 'cut', t => arriveSaying(t, Buffer.from('100c0004484f4c410402003c0000', 'hex')), 'engine'],
  // CONNECT that does not fit
  ['a version of MQTT that is none', 'protocol_unsupported', 'connack 1', t => arriveAsking(t, { clientId: 'd1', level: 6 }), 'engine'],
  ["someone else's client ID", 'client_id_mismatch', 'connack 2', t => arriveAsking(t, { clientId: 'd2' }), 'engine'],
  ['a client ID with a suffix', 'client_id_mismatch', 'connack 2', t => arriveAsking(t, { clientId: 'd1:2' }), 'engine'],
  ['an empty client ID without a clean session', 'client_id_missing', 'connack 2', t => arriveAsking(t, { clean: false }), 'engine'],
  ["someone else's username", 'username_mismatch', 'connack 4', t => arriveAsking(t, { clientId: 'd1', username: 'd2' }), 'engine'],
  ['an empty username', 'username_mismatch', 'connack 4', t => arriveAsking(t, { clientId: 'd1', username: '' }), 'engine'],
  ['a password', 'password_refused', 'connack 4', t => arriveAsking(t, { clientId: 'd1', username: 'd1', password: 'x' }), 'engine'],
  ["a will on someone else's topic", 'will_denied', 'connack 5', t => arriveAsking(t, { clientId: 'd1', will: { topic: 'devices/d2/x' } }), 'engine'],
  ['a will on $SYS', 'will_denied', 'connack 5', t => arriveAsking(t, { clientId: 'd1', will: { topic: '$SYS/x', retain: true } }), 'engine'],
]

const notOffered = ['an RSA key of 1024 bits', 'a key on P-521', 'TLS 1.1']

for (const [how, reason, seen, arrive, judge = 'gate'] of ways) {
  const skip = notOffered.includes(how) && notOnBun('its client offers none')
  test(`${reason === null ? 'admits' : 'refuses'} ${how}: ${reason ?? 'in'}, ${seen}`, { skip }, async () => {
    const t = await startTestBroker({ settings: quick[reason ?? 'connect_expected'] ?? {} })
    try {
      assert.equal(await arrive(t), seen)
      if (reason === null) return
      await t.line(line => line.msg === 'refused' && line.reason === reason)
      assert.match(
        await t.broker.metrics(),
        new RegExp(`rollcall_refusals_total\\{reason="${reason}"\\} 1\\b`),
      )
      const visits = t.lines.filter(line => line.msg === 'connected').length
      const admitted = t.lines.filter(line => line.msg === 'admitted').length
      assert.equal(admitted, judge === 'gate' ? visits : 1)
      // The last packet of a visit may still be on its way; a byte too many never goes away again.
      if (judge === 'gate') await until(async () => (await mqttBytes(t)) === visits * VISIT_BYTES)
    } finally {
      await t.close()
    }
  })
}
