// Simulated devices whose keys TPMs prove, and the report that says what these TPMs are.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import type { Summary } from '../../device-sim/results/summary.ts'
import { rollcall } from '../cli/running.ts'
import { scratch, startSystem } from './system.ts'

describe('rollcall sim --identities tpm', () => {
  it('enrolls each device by a TPM of its own, which is on record and attests; the report calls them models', async () => {
    using world = scratch()
    await using system = await startSystem(world.at('data'))
    const target = ['--data', world.at('data'), '--ca', world.at('data/ca.crt'), '--identities', 'tpm']
    const endpoints = ['--api', system.ready.api, '--broker', `mqtts://127.0.0.1:${system.mqttsPort}`]
    const flags = ['--devices', '3', '--interval', '100ms', '--duration', '2s', '--prefix', 'chip-']
    const outputs = ['-o', 'json', '--report', world.at('report.html')]
    const { code, stdout, stderr } = await rollcall(['sim', ...flags, ...target, ...endpoints, ...outputs])
    assert.equal(code, 0, stderr)
    const summary = JSON.parse(stdout) as Summary
    assert.deepEqual([summary.enrollment?.enrolled, summary.connects.admitted], [3, 3])
    assert.equal(summary.enrollment?.tpms, 'models in software, which protect no key')
    assert.match(readFileSync(world.at('report.html'), 'utf8'), /models in software, which protect no key/)
    const { body } = await system.api.call('GET', '/v1/devices/chip-00002/endorsement-key')
    assert.equal(body.endorsementKey.vouchedBy, 'operator')
    assert.deepEqual(
      body.attestations.map(({ attested }: { attested: boolean }) => attested),
      [true],
    )
    const others = await rollcall(['sim', ...flags, ...target, ...endpoints, '--key-type', 'ed25519'])
    assert.equal(others.code, 2, others.stderr)
    assert.match(others.stderr, /the keys of TPMs are p256/)
  })
})
