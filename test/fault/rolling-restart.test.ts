// A running system is restarted again and again, in order, beside a fleet that reconnects: nothing acknowledged is lost, everybody
// comes back, and memory does not grow with it.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { until } from '../cli/running.ts'
import { type Device, enroll, enrollMany } from '../e2e/devices.ts'
import { anyPorts, type System, samePorts, scratch, startSystem } from '../e2e/system.ts'
import { childrenOf } from '../harness/child-processes.ts'
import { type Crowd, openCrowd } from './crowd.ts'
import { length } from './length.ts'
import { startTraffic, type Traffic } from './traffic.ts'

const DEVICES = length(24, 2_000)
const RESTARTS = length(1, 5)
const BACK_MS = 60_000
const STOP_MAX_MS = length(30_000, 10_000)

describe(`a rolling restart beside ${DEVICES} devices`, () => {
  const world = scratch()
  let system: System
  let crowd: Crowd
  const streams: Traffic[] = []
  let flags = [...anyPorts, '--gates', '2']

  before(async () => {
    system = await startSystem(world.at('data'), { flags })
    flags = [...samePorts(system.ready), '--gates', '2']
    const ids = Array.from({ length: DEVICES }, (_, index) => `crowd-${index}`)
    const devices = await enrollMany(system, world.path, ids)
    crowd = openCrowd(system.mqttsPort, devices)
    await crowd.back(1, BACK_MS * 2)
    for (const number of [1, 2]) {
      const sender = await enroll(system.api, world.path, `sender-${number}`)
      const receiver: Device = await enroll(system.api, world.path, `receiver-${number}`, {
        groups: ['backend'],
      })
      streams.push(await startTraffic(system.mqttsPort, sender, receiver))
    }
  })
  after(async () => {
    crowd?.leave()
    await Promise.all(streams.map(stream => stream.end()))
    await system?.[Symbol.asyncDispose]()
    world[Symbol.dispose]()
  })

  const acknowledged = () => streams.reduce((sum, stream) => sum + stream.acknowledged(), 0)

  it('drains within 10 s, loses nothing that was acknowledged, and has everybody back', async t => {
    const steadyBytes = peakBytes(system)
    const stops: number[] = []
    const backs: number[] = []
    let peak = 0
    for (let restarts = 0; restarts < RESTARTS; restarts += 1) {
      const wanted = acknowledged() + 200
      await until(() => acknowledged() >= wanted, 'messages are acknowledged', BACK_MS)
      const began = performance.now()
      assert.equal(await system.end('SIGTERM'), 0)
      stops.push(performance.now() - began)
      const log = system.lines().filter(({ msg }) => msg === 'drained')
      assert.deepEqual(
        log.map(line => line['unfinished']),
        [0],
        'nothing was half done',
      )
      await until(() => crowd.inside() === 0, 'every connection has ended', BACK_MS)
      system = await startSystem(world.at('data'), { flags })
      await crowd.back(1, BACK_MS)
      backs.push(performance.now() - began)
      peak = Math.max(peak, peakBytes(system))
    }
    let total = 0
    for (const stream of streams) total += (await stream.settle()).acknowledged
    assert.deepEqual(crowd.refusals, [], 'nobody was refused')
    const most = (all: number[]) => Math.round(Math.max(...all))
    t.diagnostic(
      `${RESTARTS} restarts: stopped within ${most(stops)} ms, all back within ${most(backs)} ms; ${total} messages ` +
        `acknowledged, all arrived; peak memory ${(peak / steadyBytes).toFixed(2)} × the first start's`,
    )
    assert.ok(most(stops) <= STOP_MAX_MS, `${most(stops)} ms`)
    assert.ok(peak < 2 * steadyBytes, `${peak} of ${steadyBytes} bytes`)
  })
})

/** The most that the broker and its gates have held so far. */
function peakBytes(system: System): number {
  const broker = system.childPid('broker')
  const kibibytes = [broker, ...childrenOf(broker)].map(pid =>
    Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0),
  )
  return kibibytes.reduce((sum, one) => sum + one, 0) * 1_024
}
