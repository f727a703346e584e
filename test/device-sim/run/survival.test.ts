// What a run survives: connections that are lost under kept sessions, and a worker process that is killed.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { runText } from '../fakes/run.ts'
import { createFakeServices } from '../fakes/services.ts'

const scenario = (more: string): string => `
name: survival
workers: 2
groups:
  - name: meters
    count: 10
    session: { clean: false }
    # Without a subscription a broker may call a session forgotten.
    subscribe: [{ filter: 'devices/\${device}/commands' }]
    publish: [{ topic: 'devices/\${device}/up', every: 20ms, qos: 2 }]
    reconnect: { first: 50ms, most: 100ms }
stages:
  - { kind: ramp, rate: 100 }
${more}
`

/** The worker processes that this process has started. */
async function workers(): Promise<number[]> {
  const children = await readFile(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8')
  const pids = children.trim().split(' ').map(Number)
  const lines = await Promise.all(pids.map(pid => readFile(`/proc/${pid}/cmdline`, 'utf8')))
  return pids.filter((_, index) => lines[index]?.includes('workers/worker.'))
}

describe('a run', () => {
  it('finishes what kept sessions had not acknowledged when their connections were lost', async () => {
    await using services = await createFakeServices()
    const { broker } = services
    // Cut while the last one's message waits for its PUBREC.
    const until = broker.publishers(10).then(() => {
      broker.dropEveryone()
      return broker.publishers(10)
    })
    const endless = scenario('  - { kind: steady, for: 1h }\n')
    const { summary } = await runText(endless, { data: services.directory }, { until })
    const { sent, acknowledged, unacknowledged } = summary.traffic.qos2
    assert.equal(summary.connects.admitted, 20)
    const { tcp, tls, connack } = summary.connectPartsMs
    assert.deepEqual([tcp.count, tls.count, connack.count], [20, 20, 20])
    assert.ok((tls.p50 ?? 0) > 0)
    assert.deepEqual([acknowledged, unacknowledged], [sent, 0])
    // By the cause that each saw first: the end, or a write that failed.
    assert.equal(
      Object.values(summary.drops).reduce((all, count) => all + count, 0),
      10,
    )
  })

  it('goes on without a worker that was killed, and says so', async () => {
    await using services = await createFakeServices()
    let killed = false
    const noticed = Promise.withResolvers<void>()
    const { summary, events } = await runText(
      scenario('  - { kind: steady, for: 1h }\nthresholds: [connected = 100%]\n'),
      { data: services.directory },
      {
        until: noticed.promise,
        onEvent: ({ text }) => text.startsWith('worker 1 ended') && noticed.resolve(),
        async onSample({ population }) {
          if (killed || population.connected < 10) return
          killed = true
          process.kill((await workers())[0] as number, 'SIGKILL')
        },
      },
    )
    assert.ok(killed)
    assert.deepEqual(
      [summary.population.total, summary.population.connected, summary.population.asleep],
      [10, 5, 5],
    )
    const said = events.filter(({ kind }) => kind === 'limit').map(({ text }) => text)
    assert.ok(said.includes('worker 1 ended (SIGKILL): its devices are gone'), said.join('\n'))
    assert.deepEqual(summary.verdict, {
      passed: false,
      exitCode: 1,
      breaches: ['worker 1 of 2 ended (SIGKILL)'],
    })
    assert.ok(summary.limits.some(({ limit }) => limit === 'worker'))
  })
})
