// Two machines as an operator runs them, each with broker and provisioning service, on one PostgreSQL: a revocation at one closes at the
// other, and a broker that no longer hears from PostgreSQL admits nobody, then cuts.
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { until } from '../cli/running.ts'
import { type PostgresServer, startPostgres } from '../harness/postgres.ts'
import { enroll } from './devices.ts'
import { completeReceipt, type Receipt, startMachines } from './machines.ts'
import { asDevice, run, subscriber } from './mosquitto.ts'
import { type System, scratch } from './system.ts'

const ADMIT_MS = 3_000
const CUT_MS = 8_000

const world = scratch()
let postgres: PostgresServer
let one: System
let other: System

before(async () => {
  postgres = await startPostgres()
  ;[one, other] = await startMachines(world, postgres, {
    env: {
      ROLLCALL_BROKER_ISOLATION_ADMIT_MS: String(ADMIT_MS),
      ROLLCALL_BROKER_ISOLATION_CUT_MS: String(CUT_MS),
    },
  })
})
after(async () => {
  await Promise.allSettled([one?.[Symbol.asyncDispose](), other?.[Symbol.asyncDispose]()])
  await postgres?.close()
  rmSync(world.path, { recursive: true, force: true })
})

const topic = (id: string) => `devices/${id}/news`
const publish = (system: System, device: Parameters<typeof asDevice>[1]) =>
  run('mosquitto_pub', [...asDevice(system.mqttsPort, device), '-t', topic(device.id), '-m', 'hello'])

test('a device enrolled at one machine is admitted at both, and its revocation at one closes it at the other', async () => {
  const device = await enroll(one.api, world.path, 'd1')
  const replaced = async () => (await publish(other, device)).code === 0
  await until(replaced, 'the other broker admits the device')
  const client = await subscriber(asDevice(other.mqttsPort, device), '-t', topic('d1'))

  const revoke = ['certificate', 'revoke', device.fingerprint, '--reason', 'superseded', '--yes']
  const receipt = await completeReceipt(() => one.ask<Receipt>(...revoke))
  assert.deepEqual(
    [receipt.nodesTotal, receipt.nodesAcknowledged, receipt.sessionsCut],
    [2, 2, 1],
    JSON.stringify(receipt),
  )
  assert.notEqual((await client.ended).code, 0)
  for (const system of [one, other]) assert.notEqual((await publish(system, device)).code, 0)
})

test('what a broker noted is on record once, at both services', async () => {
  const device = await enroll(other.api, world.path, 'd2')
  await until(
    async () => (await publish(one, device)).code === 0,
    'the broker of the other machine admits it',
  )
  await until(
    async () =>
      (await other.api.call('GET', `/v1/certificates/${device.fingerprint}`)).body.status === 'active',
    'its first use is on record',
  )
  const uses = async (system: System) =>
    (await system.api.call('GET', `/v1/audit?action=certificate.use&target=${device.fingerprint}&limit=10`))
      .body.items.length
  await until(async () => (await uses(one)) === (await uses(other)), 'both have the same record')
  assert.equal((await one.api.call('GET', '/v1/audit/verification')).body.outcome, 'intact')
})

test('a machine that is not heard is named in the receipt with the time after which it has no session', async () => {
  const device = await enroll(one.api, world.path, 'd3')
  const broker = other.childPid('broker')
  process.kill(broker, 'SIGSTOP')
  try {
    const began = Date.now()
    const receipt = await one.ask<{ unreachable: string[]; noSessionAfter: string }>(
      ...['certificate', 'revoke', device.fingerprint, '--reason', 'superseded', '--yes'],
    )
    assert.deepEqual(receipt.unreachable, ['other'])
    const boundMs = Date.parse(receipt.noSessionAfter) - began
    assert.ok(boundMs >= CUT_MS && boundMs < CUT_MS + 20_000, receipt.noSessionAfter)
  } finally {
    process.kill(broker, 'SIGCONT')
  }
})

test('without PostgreSQL nobody is admitted after the first bound, and nobody is connected after the second', async () => {
  const device = await enroll(one.api, world.path, 'd4')
  for (const system of [one, other])
    await until(async () => (await publish(system, device)).code === 0, 'the device is admitted')
  const client = await subscriber(asDevice(other.mqttsPort, device), '-t', topic('d4'))
  const frozenAt = performance.now()
  postgres.freeze()
  try {
    // Short of the bound, what is on record admits.
    assert.equal((await publish(one, device)).code, 0)
    await until(async () => (await publish(one, device)).code !== 0, 'nobody new is admitted')
    const refusedMs = performance.now() - frozenAt
    assert.ok(refusedMs > ADMIT_MS - 2_000, `refused after ${refusedMs} ms`)
    await until(async () => (await one.admin('/readyz')).status === 503, 'the machine is not ready')
    assert.notEqual((await client.ended).code, 0)
    const cutMs = performance.now() - frozenAt
    assert.ok(cutMs > CUT_MS - 2_000 && cutMs < CUT_MS + 5_000, `cut after ${cutMs} ms`)
    await other.logged(/registry_isolated/)
  } finally {
    postgres.thaw()
  }
  await until(async () => (await publish(other, device)).code === 0, 'the device is admitted again')
})
