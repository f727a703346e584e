// The simulator against a running system: an honest fleet stays in, every rogue stays out, and the broker counted the same.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { scratch, startSystem } from './system.ts'

type Report = {
  devices: { total: number; atEnd: Record<string, number> }
  connects: { admitted: number; failed: Record<string, number> }
  messages: { published: number; acknowledged: number; lost: number }
  rogues: { refused: number; admitted: number; inconclusive: number; results: Rogue[] }
  verdict: { passed: boolean; breaches: unknown[] }
}
type Rogue = { kind: string; verdict: string; saw: string; tries: number }

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
    const report = JSON.parse(stdout) as Report
    assert.deepEqual(report.verdict, { passed: true, exitCode: 0, breaches: [] })
    assert.equal(report.connects.admitted, 50)
    assert.deepEqual(report.connects.failed, {})
    assert.ok(report.messages.published >= 100, `${report.messages.published} published`)
    assert.deepEqual([report.messages.acknowledged, report.messages.lost], [report.messages.published, 0])
    const { rogues } = report
    assert.deepEqual(
      [rogues.admitted, rogues.inconclusive, rogues.refused],
      [0, 0, Object.keys(reasonOf).length],
    )
    assert.deepEqual(rogues.results.map(rogue => rogue.kind).sort(), Object.keys(reasonOf).sort())
    const counted: Record<string, number> = {}
    const expected: Record<string, number> = {}
    for (const { kind, tries } of rogues.results) {
      const reason = reasonOf[kind] ?? kind
      expected[reason] = tries
      counted[reason] = await system.metric(`rollcall_refusals_total{reason="${reason}"}`)
    }
    assert.deepEqual(counted, expected)
    const { text } = await system.admin('/metrics')
    const all = text.matchAll(/^rollcall_refusals_total\{reason="(\w+)"\} (\d+)$/gm)
    assert.deepEqual(
      Object.fromEntries([...all].map(([, reason, count]) => [reason, Number(count)])),
      expected,
    )
    assert.equal(await system.metric('rollcall_sessions'), 0)
  })
})
