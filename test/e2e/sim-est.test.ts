// Simulated devices that enroll at an EST server as any device would: no API of ours is named, nobody registers them.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import type { Summary } from '../../device-sim/results/summary.ts'
import { rollcall } from '../cli/running.ts'
import { scratch, startSystem } from './system.ts'

describe('rollcall sim --est', () => {
  it('enrolls by user and password, and by a bootstrap certificate, and comes back with what it keeps', async () => {
    using world = scratch()
    await using system = await startSystem(world.at('data'))
    const users: string[] = []
    for (const id of ['gauge-00001', 'gauge-00002']) {
      await system.api.call('POST', '/v1/devices', { id })
      const { body } = await system.api.call('POST', '/v1/enrollment-tokens', { deviceId: id })
      users.push(`${id}:${body.token}`)
    }
    writeFileSync(world.at('users'), `${users.join('\n')}\n`, { mode: 0o600 })
    await system.ask(
      ...['claim', 'create', 'batch', '--quota', '2', '--out', world.at('claim'), '-o', 'json'],
    )
    const claim = ['claim.key', 'claim.crt'].map(file => readFileSync(`${world.at('claim')}/${file}`, 'utf8'))
    writeFileSync(world.at('claim.pem'), claim.join('\n'), { mode: 0o600 })
    // Not `--data`, which would name the API.
    const away = {
      ca: world.at('data/ca.crt'),
      broker: `mqtts://127.0.0.1:${system.mqttsPort}`,
      est: system.ready.api,
    }
    const sim = async (keys: string, prefix: string, proof: readonly string[]): Promise<Summary> => {
      const target = Object.entries(away).flatMap(([name, value]) => [`--${name}`, value])
      const flags = ['--devices', '2', '--interval', '100ms', '--duration', '2s', '-o', 'json']
      const own = ['--keys', world.at(keys), '--prefix', prefix, ...proof]
      const { code, stdout, stderr } = await rollcall(['sim', ...flags, ...target, ...own])
      assert.equal(code, 0, stderr)
      return JSON.parse(stdout) as Summary
    }
    const byPassword = ['--est-users', world.at('users')]
    const first = await sim('keys', 'gauge-', byPassword)
    assert.deepEqual([first.enrollment?.enrolled, first.connects.admitted], [2, 2])
    assert.deepEqual(readdirSync(world.at('keys/devices')).sort(), ['gauge-00001.pem', 'gauge-00002.pem'])
    // Its tokens are spent: the second run can only be the same devices again.
    const second = await sim('keys', 'gauge-', byPassword)
    assert.deepEqual([second.enrollment?.reused, second.connects.admitted], [2, 2])
    const claimed = await sim('claimed', 'batch-', ['--est-bootstrap', world.at('claim.pem')])
    assert.deepEqual([claimed.enrollment?.enrolled, claimed.connects.admitted], [2, 2])
  })
})
