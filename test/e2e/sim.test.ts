// The simulator against a running system: an honest fleet stays in, every rogue stays out, and the broker counted the same.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import type { ConformanceSummary } from '../../device-sim/conformance-run.ts'
import type { Summary } from '../../device-sim/results/summary.ts'
import { until } from '../cli/running.ts'
import { type System, scratch, startSystem } from './system.ts'

/** What the broker must have on record for each kind of rogue. */
const reasonOf: Record<string, string> = {
  unlisted: 'certificate_unlisted',
  'foreign-ca': 'issuer_unknown',
  'self-signed': 'certificate_self_signed',
  expired: 'certificate_expired',
  revoked: 'certificate_revoked',
  suspended: 'device_suspended',
  'no-certificate': 'certificate_missing',
  'stolen-client-id': 'client_id_mismatch',
}

describe('rollcall sim against rollcall up', () => {
  it('runs a fleet of fifty with rogues: none gets in, and the broker has counted each refusal by its reason', async () => {
    using world = scratch()
    await using system = await startSystem(world.at('data'))
    const flags = [
      '--devices',
      '50',
      '--rate',
      '50',
      '--interval',
      '1s',
      '--duration',
      '3s',
      '--rogues',
      '-o',
      'json',
    ]
    const { code, stdout, stderr } = await system.run('sim', ...flags)
    assert.equal(code, 0, stderr)
    const { groups, traffic, verdict, failures } = JSON.parse(stdout) as Summary
    assert.deepEqual(verdict, { passed: true, exitCode: 0, breaches: [] })
    const [fleet, ...rogues] = groups
    assert.equal(fleet?.connects.admitted, 50)
    assert.deepEqual([fleet?.refusals, failures], [{}, {}])
    const { sent, acknowledged } = traffic.qos1
    assert.ok(sent >= 50, `${sent} sent`)
    assert.equal(acknowledged, sent)
    assert.equal(await system.metric('rollcall_messages_received_total'), sent)
    assert.deepEqual(rogues.map(({ fault }) => fault).sort(), Object.keys(reasonOf).sort())
    const { text } = await system.admin('/metrics')
    const all = text.matchAll(/^rollcall_refusals_total\{reason="(\w+)"\} ([1-9]\d*)$/gm)
    const counted = Object.fromEntries([...all].map(([, reason = '', count]) => [reason, Number(count)]))
    let brokenOff = 0
    for (const { fault, connects } of rogues) {
      assert.deepEqual([connects.admitted, connects.failed], [0, 0], `${fault}`)
      const reason = reasonOf[fault ?? ''] ?? ''
      // What the end of the run broke off may have been refused already, unseen.
      const seen = connects.refused
      assert.ok(counted[reason]! >= seen && counted[reason]! <= connects.attempts, `${reason}: ${seen}`)
      brokenOff += connects.attempts - counted[reason]!
      delete counted[reason]
    }
    const others = Object.values(counted).reduce((sum, count) => sum + count, 0)
    assert.ok(others <= brokenOff, JSON.stringify(counted))
    await until(async () => (await system.metric('rollcall_sessions')) === 0, 'all have left')

    const apart = await conformance(system, '--only', 'of another client does not count')
    assert.deepEqual(apart, {
      code: 0,
      passed: 0,
      failed: [],
      notApplicable: ['MQTT-3.3.1-10 the broker keeps one client from the topics of another'],
    })

    const actions = ['publish', 'retain', 'will', 'subscribe', 'receive']
    const statements = [{ effect: 'allow', actions, topics: ['conformance/#'] }]
    writeFileSync(world.at('common.json'), JSON.stringify({ name: 'common', statements }))
    await system.ask('policy', 'apply', world.at('common.json'))
    await system.ask('policy', 'attach', 'common', '--everyone')
    const common = await conformance(system, '--topics', 'conformance/%c/')
    // Devices may not subscribe to #.
    const closed = 'MQTT-4.7.2-1 the broker refuses this client its own topics'
    assert.deepEqual(common.notApplicable, [closed, closed])
    assert.deepEqual(common.failed, [])
    assert.ok(common.passed > 230)
  })
})

async function conformance(system: System, ...flags: string[]) {
  const { code, stdout } = await system.run('sim', 'conformance', '--patience', '5s', '-o', 'json', ...flags)
  const { passed, clauses } = JSON.parse(stdout) as ConformanceSummary
  return {
    code,
    passed,
    failed: clauses.filter(({ outcome }) => outcome === 'failed').map(({ id, what }) => `${id} ${what}`),
    notApplicable: clauses
      .filter(({ outcome }) => outcome === 'not applicable')
      .map(({ id, reason }) => `${id} ${reason}`),
  }
}
