// The history that the API gives: what a real broker and the service counted, in periods without gaps.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import mqtt from 'mqtt'
import { createHistoryLog } from '../../../db/history/history-log.ts'
import { periodsOf } from '../../../provisioning/overview/history.ts'
import { beside, connect } from '../broker-beside.ts'
import { assertProblem, makeCsr, startService } from '../harness.ts'

type Period = {
  at: string
  sessions: number | null
  connected: number
  refused: Record<string, number>
  messagesReceived: number
  bytesReceived: number
  routingMs: number | null
  acknowledgementMs: number | null
  acknowledgementMaxMs: number | null
  changes: Record<string, number>
}

test('counts sessions, connects, refusals by reason, traffic and changes of the last minutes', async () => {
  await using service = await startService()
  const broker = await beside(service)
  const { client } = await connect(service, broker.port, 'pump-1')
  // One message of 16 is timed.
  for (let message = 0; message < 20; message += 1)
    await client.publishAsync('devices/pump-1/t', 'x', { qos: 1 })
  const { csr, key } = makeCsr('p256')
  const { certificate, chain } = await service.enroll('pump-2', csr)
  await service.call('POST', '/v1/devices/pump-2/suspend')
  const refused = mqtt.connect({
    ...{ protocol: 'mqtts', host: '127.0.0.1', port: broker.port, ca: service.ca, servername: 'localhost' },
    ...{ clientId: 'pump-2', cert: certificate + chain.join(''), key, reconnectPeriod: 0 },
  })
  await new Promise(resolve => refused.once('error', resolve))
  await refused.endAsync(true)
  await client.endAsync(true)
  await broker.close() // writes what it has
  const { status, body } = await service.call('GET', '/v1/history?span=hour')
  assert.equal(status, 200)
  assert.deepEqual([body.span, body.periodSeconds, body.periods.length], ['hour', 60, 60])
  const periods: Period[] = body.periods
  const sum = (of: (period: Period) => number | undefined) =>
    periods.reduce((all, period) => all + (of(period) ?? 0), 0)
  assert.equal(
    sum(period => period.connected),
    1,
  )
  assert.equal(
    sum(period => period.refused['device_suspended']),
    1,
  )
  assert.equal(
    sum(period => period.messagesReceived),
    20,
  )
  assert.ok(sum(period => period.bytesReceived) > 20 * 20)
  assert.ok(periods.some(({ routingMs }) => routingMs !== null && routingMs > 0))
  const timed = periods.find(({ acknowledgementMs }) => acknowledgementMs !== null)!
  assert.ok(timed.acknowledgementMs! > 0)
  assert.ok(timed.acknowledgementMaxMs! >= timed.acknowledgementMs!)
  assert.ok(periods.some(({ sessions }) => sessions !== null))
  for (const [index, { at }] of periods.entries())
    if (index > 0) assert.equal(Date.parse(at) - Date.parse(periods[index - 1]!.at), 60_000)
})

test('gives a year by week up to now, and is closed to a caller bound to a group', async () => {
  const clock = Date.UTC(2026, 10, 30, 10)
  await using service = await startService({ now: () => clock })
  const log = createHistoryLog({
    ...{ file: join(service.directory, 'history.db'), now: () => clock, everyMs: 3_600_000 },
    onFailed: assert.fail,
    onSetAside: assert.fail,
  })
  for (let day = 0; day < 400; day += 1) log.add('connected', '', 1, clock - day * 86_400_000)
  log.close()
  const { body } = await service.call('GET', '/v1/history?span=year')
  assert.equal(body.periods.length, 53)
  assert.deepEqual(
    body.periods.slice(0, -1).map(({ connected }: Period) => connected),
    Array(52).fill(7),
  )
  const { token } = (
    await service.call('POST', '/v1/api-tokens', { name: 'eve', role: 'viewer', group: 'a' })
  ).body
  assertProblem(await service.call('GET', '/v1/history', undefined, { token }), 403, 'scope_insufficient')
  assertProblem(await service.call('GET', '/v1/history?span=century'), 400, 'request_invalid')
})

test('adds up the sessions of several brokers, each on average', () => {
  const figure = { at: 0, name: 'sessions', samples: 2 }
  const [period] = periodsOf(
    [
      { ...figure, label: 'a', total: 10, most: 7 },
      { ...figure, at: 60_000, label: 'a', total: 2, most: 2 },
      { ...figure, label: 'b', total: 8, most: 5 },
      { ...figure, at: 600_000, label: 'b', total: 8, most: 5 },
    ],
    0,
    600_000,
    1,
  )
  assert.deepEqual([period?.sessions, period?.sessionsMax], [7, 12])
})
