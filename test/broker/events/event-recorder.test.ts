// What the broker tells: everything once, a flood in part, all of it counted; and one log line for each decision.
import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import pino from 'pino'
import { createEventRecorder } from '../../../broker/events/event-recorder.ts'
import { createBrokerLog } from '../../../broker/observability/logging.ts'
import { createMetrics } from '../../../broker/observability/metrics.ts'
import type { EventLog } from '../../../db/events/event-log.ts'
import type { NewEvent } from '../../../db/events/event-rows.ts'
import { attempt, startTestBroker } from '../../harness/broker.ts'
import { tester } from '../../harness/roll.ts'

function recording() {
  const told: NewEvent[] = []
  let counted = 0
  const log: EventLog = {
    append: event => void told.push(event),
    tally() {
      counted += 1
    },
    writeMarked: () => true,
    marked: () => null,
    close() {},
  }
  return { log, told, counted: () => counted }
}

const peer = (fingerprint: string) => ({ address: '192.0.2.1', fingerprint, deviceId: 'd' })

test('a refusal that is repeated is told once, and once more with its count', () => {
  mock.timers.enable({ apis: ['setInterval'] })
  let now = 1_000_000
  const { log, told, counted } = recording()
  const recorder = createEventRecorder(log, () => now)
  for (let times = 0; times < 100; times += 1) recorder.refused('device_suspended', peer('a'))
  recorder.refused('device_suspended', peer('b'))
  assert.deepEqual([told.length, counted()], [2, 101])
  mock.timers.tick(1_000)
  assert.equal(told.length, 2, 'not before its minute is over')
  now += 60_000
  mock.timers.tick(1_000)
  assert.equal(told.length, 3)
  assert.deepEqual(told[2]!.detail, { address: '192.0.2.1', count: 99 })
  recorder.refused('device_suspended', peer('a'))
  assert.equal(told.length, 4, 'a new minute, told again')
  recorder.close()
  mock.timers.reset()
})

test('a flood of strangers is told in part, by reason, and counted in full', () => {
  mock.timers.enable({ apis: ['setInterval'] })
  const { log, told, counted } = recording()
  const recorder = createEventRecorder(log, () => 0)
  for (let index = 0; index < 100_000; index += 1) recorder.refused('certificate_unlisted', peer(`f${index}`))
  assert.deepEqual([told.length, counted()], [50, 100_000])
  mock.timers.tick(1_000)
  assert.equal(told.length, 51)
  assert.deepEqual([told[50]!.reason, told[50]!.detail], ['certificate_unlisted', { count: 99_950 }])
  recorder.close()
  mock.timers.reset()
})

test('what a library said of a broken connection is no reason', () => {
  const { log, told } = recording()
  const recorder = createEventRecorder(log, () => 0)
  for (const why of ['certificate_revoked', 'closed', 'read ECONNRESET', 'constructor'])
    recorder.disconnected(peer('a'), why, { sent: null, received: null })
  recorder.close()
  assert.deepEqual(
    told.map(({ reason }) => reason),
    ['certificate_revoked', 'closed', 'connection_failed', 'connection_failed'],
  )
})

test('each decision is one line of the log', async () => {
  const t = await startTestBroker()
  try {
    const good = await t.roll.enroll('good')
    const revoked = await t.roll.enroll('revoked')
    const suspended = await t.roll.enroll('suspended')
    await t.roll.writer.revokeCertificate(revoked.fingerprint, 'unspecified', tester)
    await t.roll.writer.setDeviceState('suspended', 'suspended', tester)
    const stranger = await t.roll.issuing.issue({ name: 'stranger' })
    const decisions = () =>
      t.lines
        .filter(({ msg, level }) => (msg === 'connected' || msg === 'refused') && Number(level) >= 30)
        .map(({ msg, reason }) => reason ?? msg)
    const cases: [string, Parameters<typeof attempt>[1]][] = [
      ['connected', { identity: good, connect: { clientId: 'good' } }],
      ['certificate_revoked', { identity: revoked, connect: { clientId: 'revoked' } }],
      ['device_suspended', { identity: suspended, connect: { clientId: 'suspended' } }],
      ['certificate_unlisted', { identity: stranger }],
      ['certificate_missing', {}],
      ['client_id_mismatch', { identity: good, connect: { clientId: 'another' } }],
    ]
    for (const [expected, how] of cases) {
      const before = decisions().length
      await attempt(t, how)
      await t.line(
        line => line === t.lines.filter(({ msg }) => msg === 'connected' || msg === 'refused')[before],
      )
      await new Promise(resolve => setImmediate(resolve))
      assert.deepEqual(decisions().slice(before), [expected])
    }
  } finally {
    await t.close()
  }
})

test('a flood of refusals is logged in part, and how many were left out is said in the end', () => {
  mock.timers.enable({ apis: ['setTimeout'] })
  const lines: { msg: string; skipped?: number }[] = []
  const log = pino({ base: null }, { write: (text: string) => void lines.push(JSON.parse(text)) })
  const metrics = createMetrics()
  const events = createBrokerLog(log, metrics)
  for (let index = 0; index < 1_000; index += 1) events.refused('certificate_unlisted', peer(`f${index}`))
  assert.equal(lines.filter(({ msg }) => msg === 'refused').length, 50)
  mock.timers.tick(1_000)
  assert.deepEqual(
    lines.slice(50).map(({ msg, skipped }) => [msg, skipped]),
    [['refusals not logged', 950]],
  )
  events.refused('certificate_unlisted', peer('a'))
  assert.equal(lines.length, 52)
  mock.timers.reset()
})
