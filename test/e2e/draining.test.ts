// Draining one of two machines with Debian's clients: they are told where to go, have their sessions there with what waited, and a broker
// that is killed in the middle goes on with it.
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { after, before, test } from 'node:test'
import type { BrokerNode } from '../../client/index.ts'
import { until } from '../cli/running.ts'
import { type NatsServer, startNats } from '../harness/nats.ts'
import { type PostgresServer, startPostgres } from '../harness/postgres.ts'
import { type Device, enroll } from './devices.ts'
import { startMachines } from './machines.ts'
import { asDevice, type Running, run, subscriber } from './mosquitto.ts'
import { type System, scratch } from './system.ts'

const world = scratch()
let postgres: PostgresServer
let nats: NatsServer
let one: System
let other: System

before(async () => {
  postgres = await startPostgres()
  nats = await startNats()
  ;[one, other] = await startMachines(world, postgres, { flags: ['--bus', nats.url] })
})
after(async () => {
  await Promise.allSettled([one?.[Symbol.asyncDispose](), other?.[Symbol.asyncDispose]()])
  await nats?.[Symbol.asyncDispose]()
  await postgres?.close()
  rmSync(world.path, { recursive: true, force: true })
})

const topic = (id: string) => `devices/${id}/news`
const publish = (system: System, from: Device, to: string, text: string) =>
  run('mosquitto_pub', [...asDevice(system.mqttsPort, from), '-q', '1', '-t', topic(to), '-m', text])
const listen = (system: System, device: Device, version: string) =>
  subscriber(
    asDevice(system.mqttsPort, device),
    ...['-V', version, '-c', '-q', '1', '-t', topic(device.id)],
    ...(version === '5' ? ['-x', '3600'] : []),
  )
const nodes = async () => {
  const { code, stdout } = await other.run('node', 'list', '-o', 'jsonl')
  if (code !== 0) return new Map<string, BrokerNode>() // a machine that is busy may not answer in time
  return new Map(
    stdout
      .trim()
      .split('\n')
      .map(line => JSON.parse(line) as BrokerNode)
      .map(node => [node.node, node]),
  )
}

/** A command that does nothing twice, until it was answered in time. Gives what it said on stderr. */
async function told(system: System, ...args: string[]): Promise<string> {
  let said = ''
  await until(
    async () => {
      const { code, stderr } = await system.run(...args)
      said = stderr
      return code === 0
    },
    `rollcall ${args.join(' ')} was answered`,
  )
  return said
}

test('a drained machine sends its clients to the other one, through a kill -9 of its broker', async () => {
  const backend = await enroll(one.api, world.path, 'b1', { groups: ['backend'] })
  const devices: Device[] = []
  for (const id of ['d1', 'd2', 'd3', 'd4']) devices.push(await enroll(one.api, world.path, id))
  for (const system of [one, other])
    for (const from of [backend, ...devices])
      await until(async () => (await publish(system, from, from.id, 'probe')).code === 0, 'all are admitted')
  const clients: Running[] = []
  for (const [index, device] of devices.entries())
    clients.push(await listen(one, device, index % 2 === 0 ? '5' : '311'))
  await until(async () => (await nodes()).get('one')?.sessions === 4, 'four are connected')

  // By the service of the other machine; the first is ended at once, the others in the course of an hour.
  const reference = `127.0.0.1:${other.mqttsPort}`
  const to = ['--server-reference', reference]
  assert.match(
    await told(other, 'node', 'drain', 'one', '--over', '1h', ...to),
    /^one (is|was) being drained( before)?: \d+ sessions? (is|are) left/,
  )
  await until(async () => (await one.admin('/readyz')).status === 503, 'it is not ready')
  await until(async () => (await nodes()).get('one')?.sessions === 3, 'the first one has ended')

  process.kill(one.childPid('broker'), 'SIGKILL')
  await Promise.all(clients.map(client => client.ended))
  const waited = await told(other, 'node', 'drain', 'one', '--over', '0', '--wait')
  assert.match(waited, /one is drained: it has no session\n$/)
  await until(
    async () =>
      /one \S+: healthy, drained since \S+, 0 sessions left/.test((await other.run('status')).stdout),
    'status says so',
  )
  const refused = await publish(one, devices[0]!, 'd1', 'no')
  assert.notEqual(refused.code, 0)

  for (const device of devices) assert.equal((await publish(other, backend, device.id, 'kept')).code, 0)
  for (const [index, device] of devices.entries()) {
    const client = await listen(other, device, index % 2 === 0 ? '5' : '311')
    await client.printed('kept')
    await client.stop()
  }

  await told(one, 'node', 'resume', 'one')
  await until(async () => (await one.admin('/readyz')).status === 200, 'it is ready again')
  assert.equal((await publish(one, backend, 'd1', 'back')).code, 0)
})

test('clients of MQTT 5 print why, those of 3.1.1 are closed', async () => {
  const [five, four] = [await enroll(one.api, world.path, 'e5'), await enroll(one.api, world.path, 'e4')]
  for (const device of [five, four])
    await until(async () => (await publish(one, device, device.id, 'probe')).code === 0, 'both are admitted')
  const [modern, classic] = [await listen(one, five, '5'), await listen(one, four, '311')]
  await told(one, 'node', 'drain', 'one', '--over', '0', '--wait')
  assert.match((await modern.ended).output, /DISCONNECT \(156\)|Use another server/i)
  await classic.ended
  const wrong = await one.run('node', 'drain', 'oen')
  assert.equal(wrong.code, 1)
  assert.match(wrong.stderr, /no broker is called oen: there are one, other/)
  await told(one, 'node', 'resume', 'one')
})
