// A live fleet goes over from P-256 to ML-DSA-65 by renewal: at no time is one of its devices refused, by neither certificate.
// MIGRATION_DEVICES=200 tries more of them.
import assert from 'node:assert/strict'
import { request } from 'node:https'
import { test } from 'node:test'
import { makeKey, makeRequest } from '../../cli/enrollment/key-pair.ts'
import { attempt, longTimeouts, startTestBroker } from '../harness/broker.ts'
import type { Roll } from '../harness/roll.ts'
import { startService } from '../provisioning/harness.ts'

const DEVICES = Number(process.env['MIGRATION_DEVICES'] ?? 12)
const DAY_MS = 86_400_000

type Held = { certificate: string; key: string; der: Buffer }

test('a fleet renews from P-256 to ML-DSA-65 while it goes on connecting', async () => {
  let now = Date.now()
  await using service = await startService({ now: () => now })
  const roll = {
    data: service.directory,
    root: { certificate: service.ca },
    async close() {},
  } as unknown as Roll
  const t = await startTestBroker({
    roll,
    now: () => now,
    settings: { ...longTimeouts, addressRatePerSecond: 10_000, addressBurst: 100_000 },
  })
  const admits = async (clientId: string, identity: Held, what: string) =>
    assert.equal(await attempt(t, { identity, connect: { clientId } }), 'connack 0', `${clientId}: ${what}`)
  try {
    const fleet: { id: string; old: Held }[] = []
    for (let index = 0; index < DEVICES; index += 1) {
      const id = `pump-${index}`
      const key = await makeKey('p256')
      const { certificate, chain } = await service.enroll(id, await makeRequest(id, key, 'p256'))
      fleet.push({ id, old: { certificate: [certificate, ...chain].join(''), key, der: Buffer.alloc(0) } })
    }
    for (const { id, old } of fleet) await admits(id, old, 'before')
    now += 61 * DAY_MS
    for (const { id, old } of fleet) {
      const key = await makeKey('ml-dsa-65')
      const answer = await renew(service.url, service.ca, old, await makeRequest(id, key, 'ml-dsa-65'))
      assert.equal(answer.keyType, 'ml-dsa-65')
      const renewed = {
        certificate: [answer.certificate, ...answer.chain].join(''),
        key,
        der: Buffer.alloc(0),
      }
      await admits(id, old, 'the old one, before the new one is used')
      await admits(id, renewed, 'the new one')
      await admits(id, old, 'the old one, in its grace')
      await admits(id, renewed, 'the new one again')
    }
    assert.equal(t.lines.filter(line => line.reason !== undefined && line.deviceId !== undefined).length, 0)
  } finally {
    await t.close()
  }
})

type Renewed = { certificate: string; chain: string[]; keyType: string }

function renew(url: string, ca: string, { certificate, key }: Held, csr: string): Promise<Renewed> {
  return new Promise((resolve, reject) => {
    const options = {
      method: 'POST',
      ca,
      cert: certificate,
      key,
      // The service lives on a manual clock.
      rejectUnauthorized: false,
      headers: { 'content-type': 'application/json' },
    }
    const asked = request(`${url}/v1/self/certificates`, options, async response => {
      const text = Buffer.concat(await response.toArray()).toString()
      if (response.statusCode === 201) resolve(JSON.parse(text))
      else reject(new Error(`${response.statusCode}: ${text}`))
    })
    asked.on('error', reject)
    asked.end(JSON.stringify({ csr }))
  })
}
