// What operators do beside a run, and what is left of it on the roll.
import assert from 'node:assert/strict'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { describe, it } from 'node:test'
import { type CleanFlags, runClean } from '../../../device-sim/clean-run.ts'
import type { CommandContext } from '../../../device-sim/command-context.ts'
import { until } from '../../cli/running.ts'
import { createFakeServices } from '../fakes/services.ts'

async function clean(flags: CleanFlags) {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  const { signal } = new AbortController()
  const context = { env: {}, stdout, stderr, signal } as unknown as CommandContext
  const code = await runClean({ output: 'json', ...flags }, context)
  stdout.end()
  stderr.end()
  return { code, stdout: await text(stdout), stderr: await text(stderr) }
}

describe('beside a run', () => {
  it('a device that an operator suspends is not counted as wrongly refused, and all is cleaned away after it', async () => {
    await using services = await createFakeServices()
    const { broker, roll } = services
    const suspended = (async () => {
      await broker.publishers(3)
      const device = roll.devices.get('sim-00002')
      assert.ok(device)
      device.state = 'suspended'
      broker.dropEveryone()
      const others = () => broker.aedes.connectedClients === 2
      await until(async () => broker.refused.includes('suspended') && others(), 'it was refused')
    })()
    const { summary } = await services.run({ devices: '3' }, { until: suspended })
    assert.equal(summary?.wronglyRefused.count, 0, JSON.stringify(summary?.wronglyRefused))
    assert.deepEqual(summary.wronglyRefused.first, [])
    assert.equal(summary.refusals['connack_5']?.unexpected, 0)
    assert.ok((summary.refusals['connack_5']?.expected ?? 0) > 0)
    assert.ok(summary.events.some(({ text: said }) => /^sim-00002 was taken off the roll/.test(said)))
    assert.ok(!summary.verdict.breaches.some(breach => /wrongly refused/.test(breach)))
    assert.ok(summary.traffic.qos1.sentBytes > summary.traffic.qos1.sent * 50)

    const left = [...roll.certificates.values()]
    assert.ok(left.length >= 3)
    const cleaned = await clean({ data: services.directory, decommission: true })
    assert.equal(cleaned.code, 0, cleaned.stderr)
    assert.deepEqual(JSON.parse(cleaned.stdout), {
      devices: 3,
      revoked: left.length,
      decommissioned: 3,
      failed: 0,
    })
    assert.ok(left.every(({ status }) => status === 'revoked'))
    assert.equal(roll.devices.get('sim-00001')?.state, 'decommissioned')
    assert.deepEqual(readdirSync(join(services.keysDir, 'devices')), [])
  })

  it('nothing is cleaned by a directory that is not the simulator’s, or of another service', async () => {
    await using services = await createFakeServices()
    const keys = services.directory
    assert.match((await clean({ data: keys, keys })).stderr, /holds no keys of the simulator/)
    writeFileSync(
      join(keys, 'manifest.json'),
      JSON.stringify({ kind: 'rollcall-simulator-keys', api: 'https://elsewhere' }),
    )
    const other = await clean({ data: keys, keys })
    assert.equal(other.code, 1)
    assert.match(other.stderr, /belongs to https:\/\/elsewhere/)
    assert.ok(existsSync(join(keys, 'ca.crt')))
  })
})
