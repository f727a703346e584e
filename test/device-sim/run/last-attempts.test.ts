// Attempts that are in progress when a run's time is up: each is answered before devices are counted.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { describe, it } from 'node:test'
import { summaryText } from '../../../device-sim/output/summary-text.ts'
import { runText } from '../fakes/run.ts'

const DEVICES = 20
const scenario = `
name: slow answers
groups: [{ name: fleet, count: ${DEVICES} }]
stages: [{ kind: ramp, rate: 1000 }, { kind: steady, for: 1h }]
assert: [{ that: 'connected = 100%' }]
`
const CONNACK = Buffer.from([0x20, 2, 0, 0])

/** Holds every CONNACK until `answer`; `asked` resolves once all devices have sent CONNECT. */
async function startSlowBroker() {
  const waiting = new Set<Socket>()
  const all = new Set<Socket>()
  const asked = Promise.withResolvers<void>()
  const server = createServer(socket => {
    all.add(socket)
    socket
      .on('error', () => {})
      .once('data', () => {
        waiting.add(socket)
        if (waiting.size === DEVICES) asked.resolve()
      })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    broker: `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked: asked.promise,
    answer(count: number) {
      for (const socket of [...waiting].slice(0, count)) {
        waiting.delete(socket)
        socket.write(CONNACK)
      }
    },
    async [Symbol.asyncDispose]() {
      for (const socket of all) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

describe('at the end of a run', () => {
  it('attempts in progress are answered before devices are counted', async () => {
    await using slow = await startSlowBroker()
    slow.asked.then(() => {
      slow.answer(DEVICES - 2)
      setTimeout(() => slow.answer(2), 300)
    })
    const { summary } = await runText(scenario, { broker: slow.broker }, { until: slow.asked })
    assert.deepEqual(
      [summary.population.connected, summary.connects.attempts, summary.connects.admitted],
      [DEVICES, DEVICES, DEVICES],
    )
    assert.equal(summary.verdict.exitCode, 0)
  })

  it('those without an answer after five seconds are said to be in the middle of one', async () => {
    await using slow = await startSlowBroker()
    slow.asked.then(() => slow.answer(DEVICES - 2))
    const { summary } = await runText(scenario, { broker: slow.broker }, { until: slow.asked })
    const { connected, connecting } = summary.population
    assert.deepEqual([connected, connecting], [DEVICES - 2, 2])
    assert.match(
      summaryText(summary, process.stdout),
      /connected +18 at the end, 2 in the middle of an attempt/,
    )
    assert.equal(summary.verdict.exitCode, 99)
  })
})
