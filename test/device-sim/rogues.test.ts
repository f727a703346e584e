// What counts as proof: a rogue is refused only where that was seen, and one that gets in fails the run by name.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { describe, it } from 'node:test'
import { rogueKinds } from '../../device-sim/rogues.ts'
import { type Reason, startBroker } from './fakes/broker.ts'
import { createRoll } from './fakes/provisioning.ts'
import { createWorld } from './fakes/world.ts'

describe('rogues', () => {
  it('sees one of each kind refused, and passes', async () => {
    await using world = await createWorld()
    const { exitCode, report } = await world.run({ rogues: true })
    assert.equal(exitCode, 0)
    assert.deepEqual(
      report.rogues?.results.map(({ kind, verdict, saw }) => [kind, verdict, saw]),
      [
        ['unlisted', 'refused', 'closed_after_handshake'],
        ['foreign-ca', 'refused', 'closed_after_handshake'],
        ['self-signed', 'refused', 'closed_after_handshake'],
        ['expired', 'refused', 'connack_5'],
        ['revoked', 'refused', 'connack_5'],
        ['suspended', 'refused', 'connack_5'],
        ['no-certificate', 'refused', 'closed_after_handshake'],
        ['stolen-client-id', 'refused', 'connack_2'],
      ],
    )
    assert.deepEqual([...world.broker.refused].sort(), [
      'client_id',
      'expired',
      'no_certificate',
      'revoked',
      'suspended',
      'unlisted',
      'untrusted',
      'untrusted',
    ])
    assert.equal(world.broker.received.filter(({ topic }) => topic.includes('rogue')).length, 0)
  })

  it('sends in as many of each kind as asked', async () => {
    await using world = await createWorld()
    const { exitCode, report } = await world.run({ rogues: '2', devices: '1' })
    assert.equal(exitCode, 0)
    assert.equal(report.rogues?.refused, 2 * rogueKinds.length)
  })

  it('uses its rogues again in a second run, and they are still refused for the same reason', async () => {
    await using world = await createWorld()
    await world.run({ rogues: true, devices: '1' })
    const listed = world.roll.certificates.size
    const { exitCode, report } = await world.run({ rogues: true, devices: '1' })
    assert.equal(exitCode, 0)
    assert.equal(report.rogues?.results.find(({ kind }) => kind === 'revoked')?.saw, 'connack_5')
    // Only the expired canary is made anew.
    assert.equal(world.roll.certificates.size, listed + 1)
  })

  const leaks: { forgive: Reason[]; admitted: string[] }[] = [
    { forgive: ['unlisted'], admitted: ['unlisted'] },
    { forgive: ['unlisted', 'untrusted'], admitted: ['foreign-ca', 'self-signed', 'unlisted'] },
    { forgive: ['expired'], admitted: ['expired'] },
    { forgive: ['revoked'], admitted: ['revoked'] },
    { forgive: ['suspended'], admitted: ['suspended'] },
    { forgive: ['no_certificate'], admitted: ['no-certificate'] },
    { forgive: ['client_id'], admitted: ['stolen-client-id'] },
  ]
  for (const { forgive, admitted } of leaks) {
    it(`exits 99 and names the rogue when a broker forgives ${forgive.join(' and ')}`, async () => {
      await using world = await createWorld({ forgive })
      const { exitCode, report, stderr } = await world.run({ rogues: true, devices: '2' })
      assert.equal(exitCode, 99)
      const letIn = report.rogues?.results.filter(({ verdict }) => verdict === 'admitted')
      assert.deepEqual(letIn?.map(({ kind }) => kind).sort(), admitted)
      for (const kind of admitted) assert.match(stderr, new RegExp(`rogue ${kind} as client \\S+ was let in`))
    })
  }

  it('calls a broker that is down inconclusive, and fails the run', async () => {
    await using world = await createWorld()
    const closed = await closedPort()
    const broker = `mqtts://127.0.0.1:${closed}`
    const { exitCode, report } = await world.run({ rogues: true, broker, connectTimeout: '300ms' })
    assert.equal(exitCode, 1)
    assert.equal(report.rogues?.refused, 0)
    assert.equal(report.rogues?.inconclusive, rogueKinds.length)
    assert.ok(report.rogues?.results.every(({ saw }) => saw === 'unreachable_econnrefused'))
    assert.equal(report.devices.atEnd.unreachable, 5)
  })

  it('calls a broker that never answers inconclusive', async () => {
    await using world = await createWorld()
    const silent = createServer(socket => socket.on('error', () => {}).resume()).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    try {
      const broker = `mqtts://127.0.0.1:${(silent.address() as AddressInfo).port}`
      const { exitCode, report } = await world.run({
        rogues: true,
        broker,
        devices: '1',
        connectTimeout: '50ms',
      })
      assert.equal(exitCode, 1)
      assert.ok(report.rogues?.results.every(r => r.verdict === 'inconclusive' && r.saw === 'timeout_tls'))
    } finally {
      silent.close()
    }
  })

  it('calls a port that hangs up before TLS stands inconclusive', async () => {
    await using world = await createWorld()
    const rude = createServer(socket => socket.on('error', () => {}).destroy()).listen(0, '127.0.0.1')
    await once(rude, 'listening')
    try {
      const broker = `mqtts://127.0.0.1:${(rude.address() as AddressInfo).port}`
      const { exitCode, report } = await world.run({
        rogues: true,
        broker,
        devices: '1',
        connectTimeout: '500ms',
      })
      assert.equal(exitCode, 1)
      assert.ok(report.rogues?.results.every(r => r.verdict === 'inconclusive'))
      assert.ok(report.rogues?.results.every(r => r.saw === 'closed_before_handshake'))
    } finally {
      rude.close()
    }
  })

  it('proves nothing by a broker that refuses everyone, and calls the fleet wrongly refused', async () => {
    await using world = await createWorld()
    await using stern = await startBroker(world.authority, createRoll())
    const { exitCode, report } = await world.run({
      rogues: true,
      broker: stern.url,
      devices: '2',
      connectTimeout: '500ms',
    })
    assert.equal(exitCode, 99)
    assert.equal(report.rogues?.refused, 0)
    assert.equal(report.rogues?.inconclusive, rogueKinds.length)
    assert.equal(report.rogues?.control.before, 'closed_after_handshake')
    assert.deepEqual(report.verdict.breaches[0]?.what, 'wrongly_refused')
  })

  it('does not take its own distrust of the server for a refusal', async () => {
    await using world = await createWorld()
    await using other = await createWorld()
    const { exitCode, report } = await world.run({
      rogues: true,
      broker: other.broker.url,
      devices: '1',
      connectTimeout: '500ms',
    })
    assert.equal(exitCode, 1)
    assert.equal(report.rogues?.inconclusive, rogueKinds.length)
    assert.match(report.rogues?.results[0]?.saw ?? '', /^server_not_trusted_/)
  })
})

async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
