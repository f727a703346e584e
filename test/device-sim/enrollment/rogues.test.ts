// What counts as proof: a rogue is refused only where that was seen, and one that gets in fails the run by name.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { describe, it } from 'node:test'
import { rogueKinds } from '../../../device-sim/enrollment/rogues.ts'
import type { Summary } from '../../../device-sim/results/summary.ts'
import { type Reason, startBroker } from '../fakes/broker.ts'
import { createRoll } from '../fakes/provisioning.ts'
import { createFakeServices } from '../fakes/services.ts'

const rogueGroups = (summary: Summary) => summary.groups.filter(({ fault }) => fault !== null)
const letIn = (summary: Summary): string[] => summary.wronglyAdmitted.first.map(({ group }) => group).sort()

// They wait for most of their time: some side by side.
describe('rogues', { concurrency: 3 }, () => {
  it('sees each kind refused, as many as asked, and passes', async () => {
    await using services = await createFakeServices()
    const { exitCode, summary, stderr } = await services.run({ rogues: '2' })
    assert.equal(exitCode, 0, stderr)
    assert.deepEqual(
      rogueGroups(summary).map(({ fault, count, connects, refusals }) => {
        return [fault, count, connects.admitted, Object.keys(refusals)]
      }),
      [
        ['unlisted', 2, 0, ['closed_after_handshake']],
        ['foreign-ca', 2, 0, ['closed_after_handshake']],
        ['self-signed', 2, 0, ['closed_after_handshake']],
        ['expired', 2, 0, ['connack_5']],
        ['revoked', 2, 0, ['connack_5']],
        ['suspended', 2, 0, ['connack_5']],
        ['no-certificate', 2, 0, ['closed_after_handshake']],
        ['stolen-client-id', 2, 0, ['connack_2']],
      ],
    )
    const reasons = [
      'client_id',
      'expired',
      'no_certificate',
      'revoked',
      'suspended',
      'unlisted',
      'untrusted',
    ]
    assert.deepEqual([...new Set(services.broker.refused)].sort(), reasons)
    assert.equal(services.broker.received.filter(({ topic }) => topic.includes('rogue')).length, 0)
  })

  it('uses its rogues again in a second run, and they are still refused for the same reason', async () => {
    await using services = await createFakeServices()
    await services.run({ rogues: true, devices: '1' })
    const listed = services.roll.certificates.size
    const { exitCode, summary } = await services.run({ rogues: true, devices: '1' })
    assert.equal(exitCode, 0)
    const revoked = summary.groups.find(({ fault }) => fault === 'revoked')
    assert.deepEqual(Object.keys(revoked?.refusals ?? {}), ['connack_5'])
    // Only the expired canary is made anew.
    assert.equal(services.roll.certificates.size, listed + 1)
  })

  const leaks: { forgive: Reason[]; admitted: string[] }[] = [
    { forgive: ['unlisted', 'untrusted'], admitted: ['foreign-ca', 'self-signed', 'unlisted'] },
    { forgive: ['expired', 'revoked', 'suspended'], admitted: ['expired', 'revoked', 'suspended'] },
    { forgive: ['no_certificate'], admitted: ['no-certificate'] },
    { forgive: ['client_id'], admitted: ['stolen-client-id'] },
  ]
  for (const { forgive, admitted } of leaks) {
    it(`exits 99 and names the rogue when a broker forgives ${forgive.join(' and ')}`, async () => {
      await using services = await createFakeServices({ forgive })
      const { exitCode, summary, stdout } = await services.run({ rogues: true, devices: '2' })
      assert.equal(exitCode, 99, stdout)
      assert.deepEqual([...new Set(letIn(summary))], admitted)
      for (const kind of admitted) assert.match(summary.verdict.breaches[0] ?? '', new RegExp(`\\(${kind}, `))
    })
  }

  const proofless: [string, (server: Server) => void, string, connectTimeout?: string][] = [
    ['is down', server => void server.close(), 'unreachable_econnrefused'],
    ['never answers', server => void server.on('connection', socket => socket.resume()), 'timeout_tls', '1s'],
    [
      'hangs up before TLS stands',
      server => void server.on('connection', socket => socket.destroy()),
      'closed_before_handshake',
    ],
  ]
  for (const [what, prepare, saw, connectTimeout = '30s'] of proofless) {
    it(`proves nothing by a broker that ${what}, and fails the run`, async () => {
      await using services = await createFakeServices()
      const server = createServer(socket => socket.on('error', () => {})).listen(0, '127.0.0.1')
      await once(server, 'listening')
      const { port } = server.address() as AddressInfo
      prepare(server)
      try {
        const broker = `mqtts://127.0.0.1:${port}`
        const { exitCode, summary } = await services.run({ rogues: true, broker, connectTimeout })
        assert.equal(exitCode, 1)
        assert.deepEqual([summary.connects.refused, summary.wronglyAdmitted.count], [0, 0])
        assert.deepEqual(Object.keys(summary.failures), [saw])
        for (const kind of rogueKinds) {
          assert.ok(summary.verdict.breaches.some(breach => breach.startsWith(`group ${kind}: no refusal`)))
        }
      } finally {
        server.close()
      }
    })
  }

  it('proves nothing by a broker that refuses everyone, and calls the fleet wrongly refused', async () => {
    await using services = await createFakeServices()
    await using stern = await startBroker(services.authority, createRoll())
    const { exitCode, summary } = await services.run({ rogues: true, broker: stern.url, devices: '2' })
    assert.equal(exitCode, 99)
    assert.match(summary.verdict.breaches[0] ?? '', /wrongly refused: sim-0000\d \(closed_after_handshake\)/)
    for (const kind of rogueKinds) {
      const said = `group ${kind}: no honest device was admitted, so refusals prove nothing`
      assert.ok(summary.verdict.breaches.includes(said), kind)
    }
  })

  it('does not take its own distrust of the server for a refusal', async () => {
    await using services = await createFakeServices()
    await using other = await createFakeServices()
    const { exitCode, summary } = await services.run({ rogues: true, broker: other.broker.url, devices: '1' })
    assert.equal(exitCode, 1)
    assert.equal(summary.connects.refused, 0)
    assert.match(Object.keys(summary.failures)[0] ?? '', /^server_not_trusted_/)
  })
})
