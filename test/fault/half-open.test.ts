// Connections that begin and never get on with it: they are ended in time, and nobody else waits for them.
import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { type Device, enroll, enrollMany, knock, openTls } from '../e2e/devices.ts'
import { type System, scratch, startSystem } from '../e2e/system.ts'
import { clientHello } from '../harness/client-hello.ts'
import { length } from './length.ts'

const IN_TIME_MS = 10_000
/** Timers fire late on a machine that is busy with other tests, and what is opened late is closed late. */
const SLACK_MS = length(30_000, 1_500)
/** Briefly, on any machine, what counts is that clients are answered while those that never finish are there. */
const CONNECT_MS = length(IN_TIME_MS + SLACK_MS, 1_000)
const VISITS = length(5, 20)
/** Between two visits, so that the visitor is not the load. */
const PAUSE_MS = 25
/** So many that none of their certificates has more connections without CONNECT than certificatePendingMax. */
const SILENT_DEVICES = length(25, 80)
/** No device ever came from the first; devices on the roll came from the second. */
const STRANGERS = '127.0.0.2'
const SILENT = '127.0.0.3'

// Both wait for the same ten seconds.
describe('connections that never finish', { concurrency: true }, () => {
  const world = scratch()
  let system: System
  let honest: Device
  let silent: Device[]
  before(async () => {
    system = await startSystem(world.at('data'))
    honest = await enroll(system.api, world.path, 'honest')
    const names = Array.from({ length: SILENT_DEVICES }, (_, index) => `silent-${index + 1}`)
    silent = await enrollMany(system, world.path, names)
  })
  after(async () => {
    await system?.[Symbol.asyncDispose]()
    world[Symbol.dispose]()
  })

  const ways: Record<string, { count: number; open(index: number): Promise<Socket>; reason: string }> = {
    'say nothing': {
      count: length(200, 300),
      open: () => openTcp(system.mqttsPort, STRANGERS),
      reason: 'handshake_timeout',
    },
    'stop within ClientHello': {
      count: length(150, 200),
      open: () => openTcp(system.mqttsPort, STRANGERS, clientHello([]).subarray(0, 60)),
      reason: 'handshake_timeout',
    },
    'send no CONNECT': {
      count: length(100, 300),
      open: index => openTls(system.mqttsPort, silent[index % silent.length] ?? honest, SILENT),
      reason: 'connect_timeout',
    },
    'send half a CONNECT': {
      count: length(50, 200),
      open: async index => {
        const socket = await openTls(system.mqttsPort, silent[index % silent.length] ?? honest, SILENT)
        socket.write(Buffer.from([0x10]))
        return socket
      },
      reason: 'connect_timeout',
    },
  }

  it('are closed within 10 s, counted by reason, while a real device connects and an operator is answered in a second', async t => {
    for (const address of ['127.0.0.1', SILENT])
      assert.equal(await knock(system.mqttsPort, honest.id, honest, address), 'connack 0')
    const arrivals = Object.values(ways).flatMap(({ count, open }) =>
      Array.from({ length: count }, (_, n) => open(n)),
    )
    const began = performance.now()
    const sockets = await Promise.all(arrivals)
    let open = sockets.length
    const closed = Promise.all(
      sockets.map(socket =>
        whenClosed(socket).then(() => ({ left: --open, tookMs: performance.now() - began })),
      ),
    )
    const waits = { device: [] as number[], operator: [] as number[] }
    let visits = 0
    while (open > 0 && performance.now() - began < IN_TIME_MS + SLACK_MS) {
      await timed(waits.device, async () => {
        assert.equal(await knock(system.mqttsPort, honest.id, honest), 'connack 0')
      })
      await timed(waits.operator, async () => {
        assert.equal((await system.api.call('GET', '/v1/devices/honest')).status, 200)
      })
      visits += 1
      await new Promise(resolve => setTimeout(resolve, PAUSE_MS))
    }
    assert.equal(open, 0, 'all were closed in time')
    await closed
    assert.ok(visits >= VISITS, `${visits} visits`)
    t.diagnostic(`${visits} visits, the slowest connect took ${Math.round(Math.max(...waits.device))} ms`)
    assert.ok(p99(waits.device) < CONNECT_MS, `p99 of connecting: ${p99(waits.device)} ms`)
    assert.ok(p99(waits.operator) < CONNECT_MS, `p99 of an answer: ${p99(waits.operator)} ms`)
    const expected = Map.groupBy(Object.values(ways), way => way.reason)
    for (const [reason, of] of expected) {
      const count = of.reduce((sum, way) => sum + way.count, 0)
      assert.equal(await system.metric(`rollcall_refusals_total{reason="${reason}"}`), count, reason)
    }
    assert.equal(await system.metric('rollcall_handshakes'), 0)
    assert.equal(await system.metric('rollcall_sessions'), 0)
  })

  it('are closed at the API as well', async () => {
    const port = Number(new URL(system.ready.api).port)
    const began = performance.now()
    const sockets = await Promise.all(
      Array.from({ length: 100 }, (_, index) =>
        openTcp(port, '127.0.0.1', index % 2 ? clientHello([]).subarray(0, 60) : undefined),
      ),
    )
    let open = sockets.length
    const closed = Promise.all(sockets.map(socket => whenClosed(socket).then(() => --open)))
    assert.equal((await system.api.call('GET', '/v1/whoami')).status, 200)
    assert.ok(open > 0, 'it did not wait for them')
    assert.ok(performance.now() - began < CONNECT_MS)
    await closed
    assert.ok(performance.now() - began < IN_TIME_MS + SLACK_MS)
  })
})

function openTcp(port: number, localAddress: string, first?: Buffer): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, localAddress }, () => {
      if (first) socket.write(first)
      resolve(socket)
    })
    socket.once('error', reject)
  })
}

function whenClosed(socket: Socket): Promise<void> {
  socket.on('error', () => {})
  socket.resume()
  if (socket.destroyed) return Promise.resolve()
  return new Promise(resolve => socket.once('close', () => resolve()))
}

async function timed(into: number[], work: () => Promise<void>): Promise<void> {
  const began = performance.now()
  await work()
  into.push(performance.now() - began)
}

function p99(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other)
  return sorted[Math.floor((sorted.length - 1) * 0.99)] ?? Number.NaN
}
