// kill -9 of each process of a running system under load: a gate, the broker, the supervisor, provisioning. The fleet comes
// back, nothing acknowledged is lost, and a revoked device stays out.
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, before, describe, it, type TestContext } from 'node:test'
import { until } from '../cli/running.ts'
import { type Device, enroll, enrollMany, knock, openTls } from '../e2e/devices.ts'
import { anyPorts, type System, samePorts, scratch, startSystem } from '../e2e/system.ts'
import { connectPacket } from '../harness/broker.ts'
import { childrenOf } from '../harness/child-processes.ts'
import { publishQos2 } from '../harness/raw-client.ts'
import { type Crowd, openCrowd } from './crowd.ts'
import { length } from './length.ts'
import { startTraffic, type Traffic } from './traffic.ts'

const DEVICES = length(24, 1_000)
const KILLS = length(1, 13)
/** What half of the kills keep at length; all keep the other, also beside other tests. */
const LISTENING_MS = length(60_000, 3_000)
const LISTENING_MAX_MS = length(60_000, 15_000)
const BACK_MS = length(120_000, 30_000)
const SHARE = 0.95

describe(`kill -9 under load, ${DEVICES} devices connected`, () => {
  const world = scratch()
  let system: System
  let crowd: Crowd
  let traffic: Traffic
  let revoked: Device
  let probe: Device
  let flags = [...anyPorts, '--gates', '2']

  before(async () => {
    system = await startSystem(world.at('data'), { flags })
    flags = [...samePorts(system.ready), '--gates', '2']
    const ids = Array.from({ length: DEVICES }, (_, index) => `crowd-${index}`)
    const devices = await enrollMany(system, world.path, [...ids, 'sender', 'revoked', 'probe'])
    const receiver = await enroll(system.api, world.path, 'receiver', { groups: ['backend'] })
    ;[revoked, probe] = devices.slice(-2) as [Device, Device]
    const { status } = await system.api.call('POST', `/v1/certificates/${revoked.fingerprint}/revoke`, {})
    assert.equal(status, 200)
    crowd = openCrowd(system.mqttsPort, devices.slice(0, DEVICES))
    await crowd.back(1, BACK_MS * 2)
    traffic = await startTraffic(system.mqttsPort, devices.at(-3)!, receiver)
  })
  after(async () => {
    crowd?.leave()
    await traffic?.end()
    await system?.[Symbol.asyncDispose]()
    world[Symbol.dispose]()
  })

  /** A later device waits in line with the fleet. */
  const brokerLives = () =>
    new Promise<boolean>(resolve => {
      const socket = connect({ host: '127.0.0.1', port: system.mqttsPort }, () => resolve(true))
      socket.once('connect', () => socket.destroy())
      socket.once('error', () => resolve(false))
    })
  const apiLives = async () =>
    (await system.api.call('GET', '/v1/devices/probe').catch(() => null))?.status === 200

  /** Kills again and again, each time in the middle of traffic. */
  async function again(t: TestContext, kill: () => Promise<void>, lives = brokerLives): Promise<void> {
    const listening: number[] = []
    const back: number[] = []
    for (let kills = 0; kills < KILLS; kills += 1) {
      const wanted = traffic.acknowledged() + 20 + Math.floor(Math.random() * 100)
      await until(() => traffic.acknowledged() >= wanted, 'messages are acknowledged', BACK_MS)
      await crowd.back(1, BACK_MS)
      const killed = performance.now()
      await kill()
      const refused = knockWhile(killed)
      await until(lives, 'it answers again', LISTENING_MAX_MS)
      listening.push(performance.now() - killed)
      await crowd.back(SHARE, BACK_MS)
      back.push(performance.now() - killed)
      assert.equal(await refused, true, 'a revoked device stays out')
    }
    assert.equal(await knock(system.mqttsPort, 'probe', probe), 'connack 0')
    const ms = (all: number[]) => `${Math.round(median(all))} ms, at most ${Math.round(Math.max(...all))} ms`
    t.diagnostic(
      `${KILLS} kills: listens again after ${ms(listening)}; ${SHARE * 100} % back after ${ms(back)}`,
    )
    assert.ok(median(listening) <= LISTENING_MS, `listens again after ${Math.round(median(listening))} ms`)
    assert.deepEqual(crowd.refusals, [], 'nobody of the fleet was refused')
  }

  /** The revoked device tries for a second, from the first moment that somebody listens. */
  async function knockWhile(from: number): Promise<boolean> {
    while (performance.now() - from < 1_000) {
      if ((await knock(system.mqttsPort, 'revoked', revoked)) === 'connack 0') return false
      await new Promise(resolve => setTimeout(resolve, 20))
    }
    return true
  }

  it('a gate takes only its own connections with it', async t => {
    let first: number | null = null
    await again(t, async () => {
      const before = crowd.ends()
      const [gate] = childrenOf(system.childPid('broker'))
      process.kill(gate!, 'SIGKILL')
      await until(() => crowd.ends() > before, 'its connections end')
      // They all come back to the other one: only the first time the connections are divided.
      first ??= crowd.ends() - before
    })
    assert.ok((first ?? 0) < DEVICES, `${first} of ${DEVICES} connections ended`)
  })

  it('the broker', async t => {
    await again(t, async () => {
      const before = crowd.ends()
      process.kill(system.childPid('broker'), 'SIGKILL')
      await until(() => crowd.ends() > before, 'connections end')
    })
  })

  it('provisioning takes no connection with it', async t => {
    const before = crowd.ends()
    await again(t, async () => void process.kill(system.childPid('provisioning'), 'SIGKILL'), apiLives)
    assert.equal(crowd.ends(), before)
  })

  it('the supervisor', async t => {
    await again(t, async () => {
      // Somebody never finishes what it began: nobody waits for that now.
      const stuck = await openTls(system.mqttsPort, probe)
      stuck.on('error', () => {})
      stuck.write(Buffer.concat([connectPacket({ clientId: 'probe' }), publishQos2('devices/probe/x', 1)]))
      await until(() => stuck.bytesRead > 6, 'it has its PUBREC')
      await system.end('SIGKILL')
      system = await startSystem(world.at('data'), { flags })
    })
  })

  it('and nothing that was acknowledged meanwhile is lost, QoS 2 arrives once', async t => {
    const { acknowledged, again: repeats } = await traffic.settle()
    t.diagnostic(`${acknowledged} messages acknowledged, all arrived; ${repeats} of QoS 1 again`)
    assert.ok(acknowledged > 4 * KILLS * 20)
  })
})

function median(values: number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? 0
}
