// Bodies that strangers and operators send, damaged by chance, over real HTTPS and WebSocket: JSON to the routes that take any,
// PKCS #10 to EST, CRLs, uploads, frames to the broker. Every request has an answer that names what was wrong, and other
// callers notice nothing. The same again: ROLLCALL_FAULT_SEED.
import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { createSoftwareTpm } from '../../device-sim/enrollment/software-tpm.ts'
import { pemBlocks, toPem } from '../../pki/pem.ts'
import { connectPacket } from '../harness/broker.ts'
import { forgedCertificate } from '../harness/certificate-forge.ts'
import { type ForkedBroker, forkBroker } from '../harness/fork.ts'
import { publishPacket, subscribePacket } from '../harness/raw-client.ts'
import { createRoll, type Roll } from '../harness/roll.ts'
import { maskedFrame, opcodes, rawWebSocket } from '../harness/web-socket.ts'
import { ask } from '../provisioning/device-requests.ts'
import { makeCsr, type Service, startService } from '../provisioning/harness.ts'
import { length } from './length.ts'
import { type Chance, createChance, mutatedBytes, mutatedDer, mutatedJson } from './mutations.ts'

const DURATION_MS = length(1_000, 10 * 60_000)
/** On the slowest machine too. */
const TRIES = 11
/** How long a connection is kept that the broker does not close. */
const PATIENCE_MS = 60
const seed = Number(process.env['ROLLCALL_FAULT_SEED'] ?? randomInt(2 ** 31))

async function fuzz(
  t: { diagnostic(text: string): void },
  attempt: (chance: Chance) => Promise<void>,
): Promise<void> {
  const end = performance.now() + DURATION_MS
  let tried = 0
  for (; performance.now() < end || tried < TRIES; tried += 1) {
    try {
      await attempt(createChance(seed + tried))
    } catch (error) {
      throw new Error(`ROLLCALL_FAULT_SEED=${seed + tried} does it at once`, { cause: error })
    }
  }
  t.diagnostic(`${tried} tried from seed ${seed}`)
}

describe('bodies of requests', () => {
  let service: Service
  before(async () => {
    service = await startService({ receiptTimeoutMs: 1, failuresPerMinuteMax: 1_000_000 })
  })
  after(() => service[Symbol.asyncDispose]())

  const certificate = toPem(forgedCertificate(), 'CERTIFICATE')
  const { csr } = makeCsr('p256')
  const statement = { effect: 'allow', actions: ['publish'], topics: ['a/#'] }
  const area = createSoftwareTpm('p256').createKey().area.toString('base64')
  const requests: readonly [method: string, path: string, body: object][] = [
    ['POST', '/v1/devices', { id: 'd', attributes: { a: 'b' }, groups: ['g'] }],
    ['PATCH', '/v1/devices/known', { attributes: { a: 'b' }, groups: ['g'] }],
    ['POST', '/v1/devices/known/certificates', { csr, days: 1 }],
    ['POST', '/v1/devices/known/certificates', { certificate, trust: 'pinned' }],
    ['POST', '/v1/admission', { certificate }],
    ['POST', '/v1/issuers', { certificate, name: 'x' }],
    ['PUT', '/v1/policies/p', { statements: [statement] }],
    ['POST', '/v1/policies/p/simulate', { statements: [statement], device: 'known' }],
    ['POST', '/v1/operators', { name: 'o', role: 'viewer', certificate }],
    ['POST', '/v1/tokens', { name: 't', role: 'viewer', days: 1 }],
    ['POST', '/v1/enrollment-tokens', { deviceId: 'known', seconds: 60 }],
    ['POST', '/v1/claims', { csr, quota: 1, days: 1 }],
    ['POST', '/v1/webhooks', { url: 'https://example.net/hook', kinds: ['enrolled'] }],
    ['POST', '/v1/session', { token: 'x' }],
    ['POST', '/v1/policies/p/simulate/fleet', { document: { name: 'p', statements: [statement] }, limit: 1 }],
    ['PUT', '/v1/devices/known/endorsement-key', { endorsementKey: 'a'.repeat(64) }],
    ['POST', '/v1/enroll/tpm', { key: area, endorsementKey: area, deviceId: 'known' }],
    ['POST', `/v1/enroll/tpm/${'A'.repeat(22)}`, { secret: area }],
  ]

  it('JSON of any shape is answered by each route, and never with a fault of the service', async t => {
    await service.call('POST', '/v1/devices', { id: 'known' })
    await fuzz(t, async chance => {
      const [method, path, body] = chance.pick(requests)
      const text = JSON.stringify(mutatedJson(body, chance))
      const raw = chance.sometimes(0.1)
        ? mutatedBytes(Buffer.from(text), chance)
            .toString('latin1')
            .replace(/[^\x20-\x7e]/g, '?')
        : text
      const stranger = path.startsWith('/v1/enroll/') ? { token: null } : {}
      const answer = await service.call(method, path, undefined, { raw, ...stranger })
      assert.ok(answer.status >= 200 && answer.status < 500, `${method} ${path} ${raw}: ${answer.text}`)
      if (answer.status >= 400) assert.equal(answer.headers['content-type'], 'application/problem+json')
    })
    assert.equal((await service.call('GET', '/v1/devices/known')).status, 200)
  })

  it('EST is answered whatever is in its body', async t => {
    const request = pemBlocks(csr, 'CERTIFICATE REQUEST')[0]!
    await fuzz(t, async chance => {
      const damaged = mutatedDer(request, chance)
      const body = chance.pick([
        damaged,
        Buffer.from(damaged.toString('base64')),
        mutatedBytes(Buffer.from(request.toString('base64')), chance),
        Buffer.from(toPem(damaged, 'CERTIFICATE REQUEST')),
      ])
      const made = await service.call('POST', '/v1/enrollment-tokens', { deviceId: 'known' })
      const secret = Buffer.from(`known:${made.body.token}`).toString('base64')
      const headers = { authorization: `Basic ${secret}`, 'content-type': 'application/pkcs10' }
      const answer = await ask(service, null, 'POST', '/.well-known/est/simpleenroll', body, headers)
      assert.ok(answer.status >= 200 && answer.status < 500, answer.bytes.toString())
      await service.call('DELETE', `/v1/enrollment-tokens/${made.body.id}`)
    })
  })

  it('CRLs and uploads are answered, and no job is left that does not end', async t => {
    await fuzz(t, async chance => {
      const row = { deviceId: `f${chance.below(1_000)}`, certificate, trust: 'pinned' }
      const lines = [mutatedJson(row, chance), { deviceId: 'known' }, mutatedJson(row, chance)]
      const raw = lines.map(line => `${JSON.stringify(line)}\n`).join('')
      const type = chance.pick(['application/x-ndjson', 'text/csv'])
      const answer = await service.call('POST', '/v1/jobs?dryRun=true', undefined, {
        raw: chance.sometimes(0.3) ? mutatedBytes(Buffer.from(raw), chance).toString('utf8') : raw,
        headers: { 'content-type': type },
      })
      assert.ok(answer.status < 500, answer.text)
      if (answer.status !== 202) return
      for (let state = 'running'; state !== 'done'; ) {
        state = (await service.call('GET', `/v1/jobs/${answer.body.id}`)).body.state
        assert.notEqual(state, 'failed', raw)
      }
    })
  })
})

describe('WebSocket frames', () => {
  let roll: Roll
  let broker: ForkedBroker
  before(async () => {
    roll = await createRoll()
    broker = await forkBroker(roll, {
      settings: { addressRatePerSecond: 1_000_000, addressBurst: 1_000_000 },
    })
  })
  after(async () => {
    await broker.close()
    await roll.close()
  })

  it('of any kind end no process and nobody else’s session', async t => {
    const [device, other] = [await roll.enroll('d'), await roll.enroll('other')]
    const here = { broker, roll }
    const standing = await rawWebSocket(here, other)
    standing.send(opcodes.binary, connectPacket({ clientId: 'other', keepalive: 0 }))
    assert.equal((await standing.frame(0))?.payload[3], 0)
    await fuzz(t, async chance => {
      const client = await rawWebSocket(here, device)
      const closed = new Promise<void>(resolve => client.socket.once('close', () => resolve()))
      client.socket.resume()
      const packets = [
        connectPacket({ clientId: 'd' }),
        subscribePacket(1, ['devices/d/#']),
        publishPacket('devices/d/x', Buffer.from('x'), false),
      ]
      if (chance.sometimes(0.7)) client.send(opcodes.binary, packets[0]!)
      for (let count = 1 + chance.below(6); count > 0 && client.socket.writable; count -= 1) {
        const frame = maskedFrame(chance.sometimes(0.7) ? 2 : chance.below(16), chance.pick(packets))
        client.socket.write(chance.sometimes(0.7) ? mutatedBytes(frame, chance) : frame)
      }
      const patience = setTimeout(() => client.socket.destroy(), PATIENCE_MS)
      await closed
      clearTimeout(patience)
    })
    assert.ok(broker.alive())
    const before = standing.frames.length
    standing.send(opcodes.binary, Buffer.from([0xc0, 0]))
    assert.deepEqual((await standing.frame(before))?.payload, Buffer.from([0xd0, 0]))
    standing.socket.destroy()
  })
})
