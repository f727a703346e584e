// Events of two machines, as operators and backends see them: at whichever service is asked, each once, under one number; a webhook is sent
// each once; and a certificate in two hands, with Debian's clients at a broker each.
import assert from 'node:assert/strict'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { until } from '../cli/running.ts'
import { type NatsServer, startNats } from '../harness/nats.ts'
import { type PostgresServer, startPostgres } from '../harness/postgres.ts'
import { startReceiver } from '../provisioning/webhooks/receiver.ts'
import { type Device, enroll } from './devices.ts'
import { startMachines } from './machines.ts'
import { asDevice, type Running, run, start, subscriber } from './mosquitto.ts'
import { type System, scratch } from './system.ts'

type Event = {
  seq: number
  kind: string
  reason: string | null
  deviceId: string | null
  node: string | null
  detail: object
}

const world = scratch()
let postgres: PostgresServer
let nats: NatsServer
let one: System
let other: System

before(async () => {
  postgres = await startPostgres()
  nats = await startNats()
  const env = { ROLLCALL_WEBHOOK_PRIVATE_ADDRESSES: '1' }
  ;[one, other] = await startMachines(world, postgres, { flags: ['--bus', nats.url], env })
})
after(async () => {
  await Promise.allSettled([one?.[Symbol.asyncDispose](), other?.[Symbol.asyncDispose]()])
  await nats?.[Symbol.asyncDispose]()
  await postgres?.close()
  rmSync(world.path, { recursive: true, force: true })
})

/** Newest first. */
const eventsOf = ({ api }: System, query = '') => api.list<Event>(`/v1/events${query}`)
const publish = (system: System, device: Device) =>
  run('mosquitto_pub', [
    ...asDevice(system.mqttsPort, device),
    '-q',
    '1',
    '-t',
    `devices/${device.id}/up`,
    '-m',
    'x',
  ])

/** Known to both brokers. */
async function known(id: string, groups: string[] = []): Promise<Device> {
  const device = await enroll(one.api, world.path, id, { groups })
  for (const system of [one, other])
    await until(async () => (await publish(system, device)).code === 0, 'it is admitted')
  return device
}

/** Server-sent events of a device behind a position, by curl. */
function follow(system: System, device: string, after: number) {
  const file = world.at(`${system.pid}.curl`)
  writeFileSync(
    file,
    `header = "Authorization: Bearer ${readFileSync(join(system.data, 'admin.token'), 'utf8').trim()}"\n`,
  )
  const url = `${system.ready.api}/v1/events/stream?device=${device}`
  const flags = ['-sN', '-K', file, '--cacert', join(system.data, 'ca.crt'), '-H', `Last-Event-ID: ${after}`]
  return start('curl', [...flags, url])
}

test('each service lists and streams the events of both machines, once each, under the same numbers', async () => {
  const device = await known('e1')
  const wanted = [
    'connected one',
    'connected other',
    'disconnected one',
    'disconnected other',
    'enrolled null',
  ]
  const named = ({ kind, node }: Event) => `${kind} ${node}`
  for (const system of [one, other])
    await until(async () => {
      const names = (await eventsOf(system, '?device=e1')).map(named)
      return wanted.every(name => names.includes(name))
    }, 'all are there')
  // Those under way are at both some moments later.
  await until(async () => {
    const [first, second] = [await eventsOf(one), await eventsOf(other)]
    return isDeepStrictEqual(first, second)
  }, 'both have the same')
  const listed = (await eventsOf(one, '?device=e1')).toReversed()
  assert.deepEqual(listed.filter(({ kind }) => kind === 'enrolled').length, 1)
  assert.deepEqual(
    listed,
    listed.toSorted((a, b) => a.seq - b.seq),
  )

  // A reader that goes on at the other service misses nothing, and is told nothing twice.
  const [first, ...others] = listed
  const stream = follow(other, 'e1', first!.seq)
  assert.equal((await publish(one, device)).code, 0)
  await stream.printed(/(event: disconnected[\s\S]*){3}/)
  const { output } = await stream.stop('SIGKILL')
  const ids = [...output.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id))
  assert.deepEqual(
    ids.slice(0, others.length),
    others.map(({ seq }) => seq),
  )
  assert.equal(new Set(ids).size, ids.length)
})

test('of a shared subscription to events, with members at both brokers, one gets each event', async () => {
  const policy = {
    name: 'events',
    statements: [{ effect: 'allow', actions: ['subscribe'], topics: ['$rollcall/events/#'] }],
  }
  const file = world.at('events.json')
  writeFileSync(file, JSON.stringify(policy))
  for (const args of [
    ['apply', file],
    ['attach', 'events', '--group', 'readers'],
  ])
    assert.equal((await one.run('policy', ...args)).code, 0)
  const members: [System, Device][] = [
    [one, await known('e2', ['readers'])],
    [other, await known('e3', ['readers'])],
  ]
  const filter = '$share/g/$rollcall/events/enrolled/+'
  const clients: Running[] = []
  for (const [system, device] of members)
    clients.push(await subscriber([...asDevice(system.mqttsPort, device), '-q', '1'], '-t', filter))
  const heard = () => clients.flatMap(({ output }) => output().match(/"deviceId":"n\d+"/g) ?? [])
  for (let count = 0; count < 6; count += 1) await enroll(one.api, world.path, `n${count}`)
  await until(() => heard().length >= 6, 'they are told')
  await known('later')
  await until(
    async () => (await eventsOf(other, '?device=later&kind=enrolled')).length === 1,
    'and the next one',
  )
  assert.equal(heard().length, 6)
  assert.equal(new Set(heard()).size, 6)
  for (const client of clients) await client.stop()
})

test('sessions at both brokers are listed, and kicked, at any service, and the history of each has both', async () => {
  const devices: [System, Device, string][] = [
    [one, await known('e5'), 'one'],
    [other, await known('e6'), 'other'],
  ]
  const clients: Running[] = []
  for (const [system, device] of devices)
    clients.push(await subscriber(asDevice(system.mqttsPort, device), '-t', `devices/${device.id}/news`))
  const nodeOf = async ({ api }: System, id: string) =>
    (await api.call('GET', `/v1/sessions?prefix=${id}`)).body.items[0]?.node
  for (const asked of [one, other])
    for (const [, { id }, node] of devices)
      await until(async () => (await nodeOf(asked, id)) === node, 'its broker is shown')
  const ends = async (id: string) =>
    (await eventsOf(one, `?device=${id}&kind=disconnected`)).filter(
      ({ reason }) => reason === 'session_kicked',
    ).length
  for (const [index, [, { id }]] of devices.entries()) {
    const asked = index === 0 ? other : one
    const kicked = await asked.api.call('POST', `/v1/devices/${id}/sessions/kick`, {})
    assert.equal(kicked.status, 200, JSON.stringify(kicked.body))
    await until(async () => (await ends(id)) === 1, 'its session is cut')
  }
  for (const client of clients) await client.stop('SIGKILL')
  const figures = async ({ api }: System) => {
    const { periods } = (await api.call('GET', '/v1/history?span=hour')).body
    return periods.map(({ connected, messagesReceived }: Record<string, number>) => [
      connected,
      messagesReceived,
    ])
  }
  await until(async () => {
    const [first, second] = [await figures(one), await figures(other)]
    const sum = first.flat().reduce((total: number, each: number) => total + each, 0)
    return sum > 20 && isDeepStrictEqual(first, second)
  }, 'both have the same figures')
})

test('two clients of one certificate at a broker each are told as a clone, once, at both services', async () => {
  const device = await known('e4')
  const clients = [one, other].map((system, index) =>
    start('mosquitto_sub', [
      ...asDevice(system.mqttsPort, device),
      ...['-A', `127.0.0.${index + 2}`, '-t', 'devices/e4/news', '-W', '60'],
    ]),
  )
  for (const system of [one, other])
    await until(async () => (await eventsOf(system, '?kind=cloned')).length > 0, 'it is told')
  for (const client of clients) await client.stop('SIGKILL')
  const [told, ...more] = await eventsOf(other, '?kind=cloned')
  assert.deepEqual([told!.deviceId, more], ['e4', []])
  assert.match(
    JSON.stringify(told!.detail),
    /"alternating_sources".*"127\.0\.0\.2","127\.0\.0\.3"|"127\.0\.0\.3","127\.0\.0\.2"/,
  )
})

test('a webhook is sent each event by the service that delivers, once, and goes on by the other one where that is killed', async () => {
  await using receiver = await startReceiver((_, response) => response.writeHead(204).end())
  const made = await other.api.call('POST', '/v1/webhooks', { url: receiver.url, kinds: ['enrolled'] })
  assert.equal(made.status, 201, JSON.stringify(made.body))
  receiver.keys.secret = made.body.secret
  const taken = () => receiver.taken.map(({ data }) => data.deviceId as string)
  for (const [count, system] of [one, other, one].entries()) await enroll(system.api, world.path, `w${count}`)
  await until(() => taken().length === 3, 'all are sent')
  await until(
    async () => (await eventsOf(other, '?device=w2&kind=enrolled')).length === 1,
    'the other has it',
  )
  assert.deepEqual(taken(), ['w0', 'w1', 'w2'])
  process.kill(one.childPid('provisioning'), 'SIGKILL')
  await enroll(other.api, world.path, 'w3')
  await until(() => taken().includes('w3'), 'the other one sends')
  // The last ones may come twice: how far the killed one had come may not have been told yet.
  assert.deepEqual([...new Set(taken())], ['w0', 'w1', 'w2', 'w3'])
  assert.ok(receiver.taken.every(({ signed }) => signed))
})
