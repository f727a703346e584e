// What agents and coordinators say: frames of bounded length, reports of the right shape, addresses, and a corrected clock.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { readAgentAddresses, readHostAndPort } from '../../../device-sim/agents/addresses.ts'
import { openPeer } from '../../../device-sim/agents/frames.ts'
import { fromAgent } from '../../../device-sim/agents/messages.ts'
import { noFindings } from '../../../device-sim/fleet/worker-context.ts'
import {
  createCounts,
  createLatencies,
  noEntitled,
  noPopulation,
  takeLatencies,
} from '../../../device-sim/results/tick.ts'
import { planOf } from '../../../device-sim/scenario/plan.ts'
import { presetFile, presetNames } from '../../../device-sim/scenario/presets.ts'
import { readScenario } from '../../../device-sim/scenario/read.ts'
import { createClockEstimate } from '../../../device-sim/workers/clock-estimate.ts'

describe('the clock of another machine', () => {
  it('is known within the error that is said, whatever the way to and fro takes', () => {
    const way = fc.double({ min: 0, max: 500, noNaN: true })
    const ahead = fc.double({ min: -1e7, max: 1e7, noNaN: true })
    fc.assert(
      fc.property(ahead, fc.array(fc.tuple(way, way), { minLength: 1, maxLength: 20 }), (offset, ways) => {
        const clock = createClockEstimate()
        let now = 1_000
        for (const [to, fro] of ways) {
          clock.add(now, now + to + offset, now + to + fro)
          now += to + fro
          assert.ok(Math.abs(clock.offsetMs() - offset) <= clock.errorMs(now) + 1e-6)
          now += 2_000
        }
      }),
    )
  })

  it('follows a clock that drifts', () => {
    const clock = createClockEstimate()
    let drift = 0
    for (let now = 0; now < 3_600_000; now += 2_000) {
      drift = now * 0.0001
      clock.add(now, now + 0.5 + drift, now + 1)
      assert.ok(Math.abs(clock.offsetMs() - drift) <= clock.errorMs(now + 1) + 1e-6)
      assert.ok(clock.errorMs(now + 1) < 1)
    }
  })
})

describe('frames', () => {
  /** Both ends of a connection; `heard` is what the listening end was told. */
  async function pair(silenceMaxMs = 60_000) {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const near = connect((server.address() as { port: number }).port, '127.0.0.1')
    const [far] = (await once(server, 'connection')) as [Socket]
    const heard: unknown[] = []
    const ended = Promise.withResolvers<string>()
    openPeer(far, silenceMaxMs, { message: said => heard.push(said), ended: ended.resolve })
    server.close()
    return { near: near.on('error', () => {}), heard, ended: ended.promise }
  }

  it('come whole, however the bytes are cut', async () => {
    const said = [{ a: 1 }, 'ü'.repeat(3_000), null, [1, 2]]
    const bytes = Buffer.concat(
      said.map(one => {
        const text = Buffer.from(JSON.stringify(one))
        const head = Buffer.alloc(4)
        head.writeUInt32BE(text.length)
        return Buffer.concat([head, text])
      }),
    )
    const { near, heard, ended } = await pair()
    for (let at = 0; at < bytes.length; at += 7) near.write(bytes.subarray(at, at + 7))
    near.end()
    assert.equal(await ended, 'it closed the connection')
    assert.deepEqual(heard, said)
  })

  it('end the connection where they are too long, are no JSON, or do not come', async () => {
    for (const [bytes, how] of [
      [Buffer.from([0xff, 0, 0, 0]), /^a message of 4278190080 bytes, more than/],
      [Buffer.from([0, 0, 0, 1, 0x7b]), /^what it sent cannot be used/],
    ] as const) {
      const { near, ended, heard } = await pair()
      near.write(bytes)
      assert.match(await ended, how)
      assert.deepEqual(heard, [])
    }
    const { ended } = await pair(20)
    assert.equal(await ended, 'silent for 0.02 s')
  })
})

describe('an agent is believed', () => {
  const tick = (groups: number) => ({
    counts: { ...createCounts(groups), reasons: { connack_0x00: 1 } },
    ...takeLatencies(createLatencies(groups)),
    populations: Array.from({ length: groups }, noPopulation),
    entitled: Array.from({ length: groups }, noEntitled),
    rssBytes: 1,
  })
  const report = (groups: number) => ({ is: 'tick', tick: tick(groups), findings: noFindings() })

  it('where its report has the shape of a report of this run', () => {
    assert.deepEqual(fromAgent(report(2), 2), report(2))
    assert.throws(() => fromAgent(report(1), 2), /another run/)
    assert.throws(() => fromAgent(report(1), null), /another run/)
  })

  it('and nothing else', () => {
    const text = JSON.stringify(report(1))
    for (const wrong of [
      text.replace('"answered":0', '"answered":"0"'),
      text.replace('"answered":0,', ''),
      text.replace('"connack_0x00"', '"__proto__"'),
      text.replace('"rssBytes":1', '"rssBytes":1,"more":1'),
      '{"is":"prepare"}',
      '{"is":"failed","message":1}',
      '[]',
    ]) {
      assert.notEqual(wrong, text)
      assert.throws(() => fromAgent(JSON.parse(wrong), 1), /no message of an agent/, wrong)
    }
  })
})

it('every plan is the same after its way to an agent', () => {
  /** A member without a value and a missing one are the same to a reader. */
  const stated = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null) return value
    if (Array.isArray(value)) return value.map(stated)
    assert.equal(Object.getPrototypeOf(value), Object.prototype)
    return Object.fromEntries(
      Object.entries(value).flatMap(([name, of]) => (of === undefined ? [] : [[name, stated(of)]])),
    )
  }
  for (const name of presetNames()) {
    const { plan } = planOf(readScenario(presetFile(name)!).scenario)
    assert.deepEqual(JSON.parse(JSON.stringify(plan)), stated(plan), name)
  }
})

it('agents are named by address and fingerprint', () => {
  const print = 'ab'.repeat(32)
  const problems: string[] = []
  const colons = print.toUpperCase().replace(/(..)(?!$)/g, '$1:')
  assert.deepEqual(readAgentAddresses(`10.0.0.1:7420=${print},[::1]:7=${colons}`, problems), [
    { name: '10.0.0.1:7420', host: '10.0.0.1', port: 7420, fingerprint: print },
    { name: '[::1]:7', host: '::1', port: 7, fingerprint: print },
  ])
  assert.deepEqual(problems, [])
  for (const wrong of ['', 'a', 'a:1', `a=${print}`, `a:0=${print}`, `a:70000=${print}`, `a:1=${print}0`]) {
    const found: string[] = []
    readAgentAddresses(wrong, found)
    assert.equal(found.length, 1, wrong)
  }
  const twice: string[] = []
  readAgentAddresses(`a:1=${print},a:1=${print}`, twice)
  assert.match(twice[0] ?? '', /twice/)
  assert.deepEqual(readHostAndPort('[::]:0'), { host: '::', port: 0 })
  assert.equal(readHostAndPort('::1:5'), null)
})
