// Limits on connections and handshakes, each with its reason, and each gone when its cause is.
import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { test } from 'node:test'
import { attempt, attemptPlain, startTestBroker, type TestBroker } from '../../../harness/broker.ts'
import { rawSession } from '../../../harness/raw-client.ts'
import { notOnBun } from '../../../harness/runtime.ts'
import { until } from '../../../harness/until.ts'

async function withBroker(settings: Record<string, number>, work: (t: TestBroker) => Promise<void>) {
  const t = await startTestBroker({ settings })
  try {
    await work(t)
  } finally {
    await t.close()
  }
}

/** A TCP connection that the broker has accepted and that never begins its handshake. */
async function halfOpen(t: TestBroker): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port: t.broker.port })
  socket.on('error', () => {})
  await new Promise<void>(resolve => socket.once('connect', () => resolve()))
  return socket
}

async function handshakes(t: TestBroker): Promise<number> {
  return Number(/^rollcall_handshakes (\d+)/m.exec(await t.broker.metrics())?.[1])
}

test('refuses a connection beyond connectionsMax, and takes the next when one has left', () =>
  withBroker({ connectionsMax: 1 }, async t => {
    const identity = await t.roll.enroll('d1')
    const first = await rawSession(t, identity, { clientId: 'd1' })
    assert.equal(await attempt(t, { identity, connect: { clientId: 'd1' } }), 'cut')
    await t.line(line => line.reason === 'connections_exceeded')
    first.destroy()
    await t.line(line => line.msg === 'disconnected')
    assert.equal(await attempt(t, { identity, connect: { clientId: 'd1' } }), 'connack 0')
  }))

test('refuses a handshake beyond handshakesMax where nobody may wait, and takes the next when one has ended', () =>
  withBroker({ handshakesMax: 2, handshakesWaitingMax: 0, strangerShare: 100 }, async t => {
    const identity = await t.roll.enroll('d1')
    const waiting = await Promise.all([halfOpen(t), halfOpen(t)])
    await until(async () => (await handshakes(t)) === 2)
    assert.equal(await attempt(t, { identity, connect: { clientId: 'd1' } }), 'cut')
    await t.line(line => line.reason === 'handshakes_exceeded')
    for (const socket of waiting) socket.destroy()
    await until(async () => (await handshakes(t)) === 0)
    assert.equal(await attempt(t, { identity, connect: { clientId: 'd1' } }), 'connack 0')
  }))

test('lets a device wait while all handshakes are taken, and admits it when one has ended', () =>
  withBroker({ handshakesMax: 2, strangerShare: 100 }, async t => {
    const identity = await t.roll.enroll('d1')
    const taken = await Promise.all([halfOpen(t), halfOpen(t)])
    await until(async () => (await handshakes(t)) === 2)
    const seen = attempt(t, { identity, connect: { clientId: 'd1' } })
    await until(async () => /^rollcall_handshakes_waiting 1$/m.test(await t.broker.metrics()))
    taken[0]!.destroy()
    assert.equal(await seen, 'connack 0')
    taken[1]!.destroy()
  }))

test('a device that gave up waiting takes nobody else’s turn', () =>
  withBroker({ handshakesMax: 1 }, async t => {
    const identity = await t.roll.enroll('d1')
    const taken = await halfOpen(t)
    await until(async () => (await handshakes(t)) === 1)
    const impatient = await Promise.all(Array.from({ length: 20 }, () => halfOpen(t)))
    await until(async () => /^rollcall_handshakes_waiting 20$/m.test(await t.broker.metrics()))
    for (const socket of impatient) socket.destroy()
    const seen = attempt(t, { identity, connect: { clientId: 'd1' } })
    taken.destroy()
    assert.equal(await seen, 'connack 0')
    await until(async () => (await handshakes(t)) === 0)
  }))

test('refuses an address that connects faster than its rate', () =>
  withBroker({ addressBurst: 3, addressRatePerSecond: 1 }, async t => {
    const ids = ['d1', 'd2', 'd3', 'd4']
    const identities = await Promise.all(ids.map(id => t.roll.enroll(id)))
    // At once: a slow machine takes no second between the first and the last.
    const seen = await Promise.all(
      identities.map((identity, index) => attempt(t, { identity, connect: { clientId: ids[index]! } })),
    )
    assert.deepEqual(seen.sort(), ['connack 0', 'connack 0', 'connack 0', 'cut'])
    await t.line(line => line.reason === 'address_rate_limited' && line['address'] === '127.0.0.1')
  }))

test('counts no handshake twice and loses none, however many connections are reset at once', () =>
  withBroker({ handshakesMax: 200 }, async t => {
    const identity = await t.roll.enroll('d1')
    for (let round = 0; round < 5; round += 1) {
      const sockets = Array.from({ length: 60 }, () => {
        const socket = connect({ host: '127.0.0.1', port: t.broker.port })
        socket.on('error', () => {})
        socket.once('connect', () => socket.resetAndDestroy())
        return socket
      })
      await Promise.all(sockets.map(socket => new Promise(resolve => socket.once('close', resolve))))
    }
    assert.equal(await attempt(t, { identity, connect: { clientId: 'd1' } }), 'connack 0')
    await until(async () => (await handshakes(t)) === 0)
  }))

test('keeps serving devices while 300 connections are half open, and closes those in time', () =>
  withBroker({ handshakeTimeoutMs: 3_000, handshakesMax: 1_000 }, async t => {
    const identity = await t.roll.enroll('d1')
    const waiting = await Promise.all(Array.from({ length: 300 }, () => halfOpen(t)))
    assert.equal(await attempt(t, { identity, connect: { clientId: 'd1' } }), 'connack 0')
    assert.equal(await handshakes(t), 300, 'it did not wait for them')
    await Promise.all(
      waiting.map(
        socket => new Promise(resolve => (socket.closed ? resolve(0) : socket.once('close', resolve))),
      ),
    )
    await until(async () => (await handshakes(t)) === 0)
    assert.match(await t.broker.metrics(), /rollcall_refusals_total\{reason="handshake_timeout"\} 300/)
  }))

const toldLate = notOnBun('of plain text it tells after the close, so that many count as handshake_failed')
test('logs a flood of refusals in part and counts it in full', { skip: toldLate }, () =>
  withBroker({}, async t => {
    const began = performance.now()
    await Promise.all(
      Array.from({ length: 200 }, () => attemptPlain(t, Buffer.from('GET / HTTP/1.1\r\n\r\n'))),
    )
    assert.match(await t.broker.metrics(), /rollcall_refusals_total\{reason="not_tls"\} 200/)
    const seconds = Math.ceil((performance.now() - began) / 1_000)
    assert.ok(t.lines.filter(line => line.msg === 'refused').length <= 50 * (seconds + 1))
  }),
)

test('lets a refused device go as soon as it hangs up', async () => {
  const waits: number[] = []
  for (let visit = 0; visit < 5; visit += 1) {
    const t = await startTestBroker({ settings: { connectionsMax: 1 } })
    const identity = await t.roll.enroll('d1', { notAfter: new Date(Date.now() - 1_000) })
    assert.equal(await attempt(t, { identity, connect: { clientId: 'd1' } }), 'connack 5')
    const begin = performance.now()
    await t.close()
    waits.push(performance.now() - begin)
  }
  // One that did not let go would take its second every time; one that does is late only where the machine is busy.
  assert.ok(Math.min(...waits) < 700, `${waits} ms`)
})

test('stops at once while connections wait for their handshake', async () => {
  const t = await startTestBroker({ settings: { handshakesMax: 1 } })
  const sockets = await Promise.all(Array.from({ length: 5 }, () => halfOpen(t)))
  await until(async () => /^rollcall_handshakes_waiting 4$/m.test(await t.broker.metrics()))
  const gone = Promise.all(sockets.map(socket => new Promise(resolve => socket.once('close', resolve))))
  await t.close()
  await gone
})
