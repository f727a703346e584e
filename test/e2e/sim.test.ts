// The simulator against a running system: an honest fleet stays in, every rogue stays out, and the broker counted the same.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Summary } from '../../device-sim/results/summary.ts'
import { until } from '../cli/running.ts'
import { scratch, startSystem } from './system.ts'

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

    const played = await system.run('sim', 'conformance', '--patience', '5s', '-o', 'json')
    const { failed, passed, clauses } = JSON.parse(played.stdout)
    const untried = clauses.filter(({ outcome }: { outcome: string }) => outcome !== 'passed')
    // Devices may not subscribe to #.
    assert.deepEqual(
      untried.map(({ id, outcome, reason }: Record<string, string>) => `${id} ${outcome}: ${reason}`),
      Array(2).fill('MQTT-4.7.2-1 not applicable: the broker refuses this client its own topics'),
    )
    assert.deepEqual([played.code, failed, passed], [0, 0, clauses.length - 2])
    assert.ok(passed > 200)
  })
})
