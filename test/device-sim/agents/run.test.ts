// Agents as processes of their own, one with clocks an hour ahead: one run, one report, and a lost agent said and survived.
import assert from 'node:assert/strict'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { makeAgentIdentity } from '../../../device-sim/agents/identity.ts'
import type { Identity } from '../../../device-sim/enrollment/identity.ts'
import manifest from '../../../device-sim/package/package.json' with { type: 'json' }
import { type AgentProcess, startAgentProcess } from '../fakes/agent-process.ts'
import { startPlainBroker } from '../fakes/plain-broker.ts'
import { runText } from '../fakes/run.ts'

const { version } = manifest
const scenario = `
name: two machines
groups:
  - name: meters
    count: 20
    subscribe: [{ filter: 'all/#', qos: 1 }]
    publish: [{ topic: 'all/\${device}', every: 100ms, qos: 1 }]
stages:
  - { kind: ramp, rate: 400 }
  - { kind: steady, for: 1h }
`

describe('a run on two agents', () => {
  let directory: string
  let coordinator: Identity
  let near: AgentProcess
  let far: AgentProcess
  const inDirectory = (name: string): string => join(directory, name)
  const flags = (broker: string) => ({ broker, identities: 'none' })
  const both = () => ({ addresses: [near.address, far.address], identity: coordinator })

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'rollcall-agents-'))
    coordinator = await makeAgentIdentity(inDirectory('coordinator.pem'))
    const { fingerprint } = coordinator
    ;[near, far] = await Promise.all([
      startAgentProcess(inDirectory('near.pem'), fingerprint, { workers: 1 }),
      startAgentProcess(inDirectory('far.pem'), fingerprint, { aheadSeconds: 3_600 }),
    ])
  })
  after(async () => {
    await Promise.all([near?.[Symbol.asyncDispose](), far?.[Symbol.asyncDispose]()])
    await rm(directory, { recursive: true, force: true })
  })

  it('is one run with one report, whatever the clocks of the machines say', async () => {
    await using broker = await startPlainBroker()
    const { summary } = await runText(scenario, flags(broker.url), {
      agents: both(),
      version,
      enough: ({ received }) => received > 2_000,
    })
    const { run, traffic, connects, deliverMs, population } = summary
    assert.deepEqual(
      run.agents.map(({ name, workers }) => [name, workers]),
      both().addresses.map(({ name }) => [name, 1]),
    )
    for (const { clockErrorMs } of run.agents) assert.ok(clockErrorMs > 0 && clockErrorMs < 1_000)
    assert.deepEqual([connects.admitted, population.connected], [20, 20])
    const { sent, acknowledged, received, lost, duplicated } = traffic.qos1
    assert.deepEqual([acknowledged, lost, duplicated], [sent, 0, 0])
    assert.ok(received > sent * 10, 'more than the ten devices of one machine get a message')
    // Half of the deliveries are from one machine to the other: by clocks an hour apart they would last an hour, or less than nothing.
    assert.ok((deliverMs.min ?? 0) >= 0 && (deliverMs.max ?? Number.POSITIVE_INFINITY) < 60_000)
    assert.equal(deliverMs.count, received)
    const { tcp, tls, connack } = summary.connectPartsMs
    assert.deepEqual([tcp.count, tls.count, connack.count], [20, 0, 20])
    assert.deepEqual(summary.verdict.breaches, [])
  })

  it('cannot start with an agent that is not the one that was named, or does not know this machine', async () => {
    const named = { ...near.address, fingerprint: far.address.fingerprint }
    const unknown = await makeAgentIdentity(inDirectory('unknown.pem'))
    for (const [agents, message] of [
      [{ addresses: [named], identity: coordinator }, /has the fingerprint [0-9a-f]{64}, not the one/],
      [{ addresses: [near.address], identity: unknown }, /it closed the connection/],
    ] as const) {
      const running = runText(scenario, flags('mqtt://127.0.0.1:1'), {
        agents: { ...agents, addresses: [...agents.addresses] },
        version,
      })
      await assert.rejects(running, { name: 'RunFailed', message })
    }
  })

  it('does not start where an agent is of another version', async () => {
    const running = runText(scenario, flags('mqtt://127.0.0.1:1'), { agents: both(), version: '0.0.0-other' })
    await assert.rejects(running, /is rollcall-sim .+, this is 0\.0\.0-other/)
  })

  it('goes on without an agent that is lost, and says so', async () => {
    await using broker = await startPlainBroker()
    const noticed = Promise.withResolvers<void>()
    let killed = false
    const { summary } = await runText(scenario, flags(broker.url), {
      agents: both(),
      version,
      until: noticed.promise,
      onEvent: ({ text }) => text.startsWith('agent') && noticed.resolve(),
      onSample({ population }) {
        if (killed || population.connected < 20) return
        killed = true
        far.child.kill('SIGKILL')
      },
    })
    const { name } = far.address
    assert.deepEqual([summary.population.connected, summary.population.asleep], [10, 10])
    assert.equal(summary.verdict.exitCode, 1)
    assert.match(summary.verdict.breaches[0]!, new RegExp(`^agent ${name}, worker 1 of 2 ended \\(`))
  })

  it('keeps its key where nobody else may read it', async () => {
    for (const name of ['near.pem', 'coordinator.pem']) {
      assert.equal((await stat(inDirectory(name))).mode & 0o777, 0o600)
    }
  })
})
