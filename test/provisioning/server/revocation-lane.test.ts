// Withdrawing a right waits for nothing that others can fill: each queue it could wait in is filled, and it goes before.
// Judged by what is answered before what, not by the clock.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { Agent, request } from 'node:https'
import { after, before, describe, test } from 'node:test'
import { connect, type TLSSocket } from 'node:tls'
import { createBrokerNotes } from '../../../db/broker-notes.ts'
import { closeRegistry, openForWriting } from '../../../db/index.ts'
import { transact, transactUrgently } from '../../../db/transact.ts'
import { accessTable, urgentRoutes } from '../../../provisioning/operators/access.ts'
import { createRoll, tester } from '../../harness/roll.ts'
import { until } from '../../harness/until.ts'
import { type Answer, assertProblem, type Service, startService, temporaryDirectory } from '../harness.ts'

const policy = (name: string, prefix: string) => ({
  name,
  statements: Array.from({ length: 30 }, (_, one) => ({
    effect: 'allow',
    actions: ['publish', 'subscribe'],
    topics: Array.from({ length: 70 }, (_, two) => `${prefix}/${(one * 70 + two).toString(36)}`),
  })),
})

test('urgent routes are routes, and each but those of health asks for an operator at least', () => {
  for (const route of urgentRoutes) {
    const right = accessTable[route]
    assert.ok(right !== undefined, route)
    if (route.startsWith('GET /')) assert.deepEqual(right, { access: 'open' })
    else assert.ok('role' in right && ['operator', 'admin'].includes(right.role), route)
  }
})

test('an urgent change goes before all that wait, and has room where they have none', async () => {
  using directory = temporaryDirectory()
  const registry = openForWriting(`${directory.path}/registry.db`)
  const order: string[] = []
  const others = Array.from({ length: 10_000 }, () =>
    transact(registry, async () => void (order.length < 2_000 && order.push('other'))),
  )
  await assert.rejects(
    transact(registry, async () => {}),
    { code: 'registry_busy' },
  )
  await transactUrgently(registry, async () => void order.push('urgent'))
  assert.equal(order.indexOf('urgent'), 0)
  assert.ok(order.length < 2_000, `${order.length} others went before its answer`)
  await Promise.all(others)
  await closeRegistry(registry)
})

test('each verb that withdraws a right goes before what waits, for whatever reason it is called', async () => {
  const roll = await createRoll()
  const { registry, writer } = roll
  const certificates: string[] = []
  for (let index = 0; index < 3; index += 1) certificates.push((await roll.enroll(`d${index}`)).fingerprint)
  createBrokerNotes(registry).uses([{ fingerprint: certificates[2]!, deviceId: 'd2', at: Date.now() }])
  const [one, two, three] = certificates as [string, string, string]
  const verbs = {
    'revoke a certificate': () => writer.revokeCertificate(one, 'unspecified', tester),
    'revoke a key': () => writer.revokeCertificate(two, 'keyCompromise', tester),
    'suspend a certificate': () => writer.suspendCertificate(three, tester),
    'suspend a device': () => writer.setDeviceState('d0', 'suspended', tester),
    'decommission a device': () => writer.setDeviceState('d1', 'decommissioned', tester),
    'disable an issuer': () => writer.setIssuerEnabled(roll.issuerId, false, tester),
  }
  for (const [name, verb] of Object.entries(verbs)) {
    let others = 0
    // Each takes long enough that however fast the machine is, one group holds a few hundred of them.
    const other = async () => {
      others += 1
      for (const end = performance.now() + 0.02; performance.now() < end; );
    }
    const waiting = Array.from({ length: 3_000 }, () => transact(registry, other))
    await verb()
    assert.ok(others < 2_000, `${others} others went before the answer of: ${name}`)
    await Promise.all(waiting)
  }
  await roll.close()
})

describe('revocation under load', () => {
  let service: Service
  const REQUESTS_MAX = 3_000
  before(async () => {
    service = await startService({ requestsPerMinuteMax: REQUESTS_MAX })
    for (let index = 0; index < 4; index += 1) await service.call('POST', '/v1/devices', { id: `d${index}` })
    await service.call('PUT', '/v1/policies/large', policy('large', 'a'))
    await service.call('PUT', '/v1/policies/large/attachments/everyone')
  })
  after(() => service[Symbol.asyncDispose]())

  /** A token of its own, whose requests count for themselves. */
  const tokenOf = async (name: string, role: string) =>
    (await service.call('POST', '/v1/api-tokens', { name, role })).body.token as string

  test('a viewer, an enroller and strangers fill every queue at once, and each revocation is answered before them', async () => {
    const [viewer, enroller] = [await tokenOf('viewer', 'viewer'), await tokenOf('enroller', 'enroller')]
    const { fingerprint } = await service.enroll('victim')
    // Bodies that do not end.
    const slow = await Promise.all(Array.from({ length: 20 }, () => halfSent(service, viewer)))
    using operator = onOneConnection(service)
    assert.equal(await operator.post('/v1/devices/d0/suspend'), 200)
    let revoked = 0
    const answered = { before: 0, all: 0, refused: 0 }
    const pending: Promise<void>[] = []
    const load = (call: Promise<Answer>) => {
      pending.push(
        call.then(({ status, text }) => {
          answered.all += 1
          if (status === 503) answered.refused += 1
          else assert.ok([200, 201, 202].includes(status), text)
          if (revoked < 2) answered.before += 1
        }),
      )
    }
    const draft = { document: policy('large', 'b') }
    // Long questions, as many as are taken on and more.
    for (let index = 0; index < 20; index += 1)
      load(service.call('POST', '/v1/policies/large/simulate/fleet', draft, { token: viewer }))
    // Handlers that take milliseconds each.
    for (let index = 0; index < 100; index += 1)
      load(service.call('GET', `/v1/devices/d${index % 4}/policy`, undefined, { token: viewer }))
    // Changes that wait for the registry, and answers to be kept with them.
    for (let index = 0; index < 300; index += 1)
      load(
        service.call(
          'POST',
          '/v1/devices',
          { id: `e${index}` },
          { token: enroller, headers: { 'idempotency-key': `k${index}` } },
        ),
      )
    // An import beside them.
    const rows = Array.from({ length: 2_000 }, (_, index) => `{"deviceId":"i${index}"}\n`).join('')
    load(
      service.call('POST', '/v1/jobs', undefined, {
        raw: rows,
        headers: { 'content-type': 'application/x-ndjson' },
      }),
    )
    await until(() => answered.all > 0)

    assert.equal(await operator.post('/v1/devices/d1/suspend', { 'idempotency-key': 'suspend' }), 200)
    revoked += 1
    assert.equal(await operator.post(`/v1/certificates/${fingerprint}/revoke`), 200)
    revoked += 1
    const left = pending.length - answered.all
    assert.ok(left > pending.length / 2, `only ${left} of ${pending.length} others were left`)
    for (const socket of slow) socket.destroy()
    await Promise.all(pending)
    assert.ok(answered.refused <= 20, `${answered.refused} of the others were refused`)
  })

  test('a caller that has spent all requests of a minute can still revoke, as often again', async () => {
    const token = await tokenOf('spent', 'operator')
    let answer = await service.call('GET', '/v1/whoami', undefined, { token })
    for (let count = 0; answer.status === 200 && count <= REQUESTS_MAX; count += 100) {
      const answers = await Promise.all(
        Array.from({ length: 100 }, () => service.call('GET', '/v1/whoami', undefined, { token })),
      )
      answer = answers.find(({ status }) => status !== 200) ?? answer
    }
    assertProblem(answer, 429, 'rate_limited')
    assert.equal((await service.call('POST', '/v1/devices/d2/suspend', undefined, { token })).status, 200)
    assertProblem(
      await service.call('POST', '/v1/devices/d2/activate', undefined, { token }),
      429,
      'rate_limited',
    )
    assert.equal((await service.call('GET', '/livez', undefined, { token: null })).status, 200)
  })
})

/** A caller that may revoke, on a connection that it has already. */
function onOneConnection(service: Service) {
  const agent = new Agent({ ca: service.ca, keepAlive: true, maxSockets: 1 })
  return {
    async post(path: string, headers: Record<string, string> = {}): Promise<number> {
      const outgoing = request(`${service.url}${path}`, {
        method: 'POST',
        agent,
        headers: { authorization: `Bearer ${service.token}`, ...headers },
      })
      outgoing.end()
      const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
      response.resume()
      await once(response, 'end')
      return response.statusCode ?? 0
    },
    [Symbol.dispose]: () => agent.destroy(),
  }
}

/** A request whose body never comes whole. */
async function halfSent(service: Service, token: string): Promise<TLSSocket> {
  const socket = connect({
    port: Number(new URL(service.url).port),
    host: '127.0.0.1',
    ca: readFileSync(`${service.directory}/ca.crt`),
  })
  socket.on('error', () => {})
  await once(socket, 'secureConnect')
  socket.write(
    `POST /v1/policies/large/simulate HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\n` +
      'content-type: application/json\r\ncontent-length: 60000\r\n\r\n{',
  )
  await until(() => socket.writableLength === 0)
  return socket
}
