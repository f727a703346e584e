// Two machines on one PostgreSQL and one bus, with Debian's clients: messages, retained messages and sessions go from one to the other, and
// a broker that is killed takes nothing with it.
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { after, before, test } from 'node:test'
import type { FleetOverview } from '../../client/index.ts'
import { until } from '../cli/running.ts'
import { type NatsServer, startNats } from '../harness/nats.ts'
import { type PostgresServer, startPostgres } from '../harness/postgres.ts'
import { type Device, enroll } from './devices.ts'
import { startMachines } from './machines.ts'
import { asDevice, run, subscriber } from './mosquitto.ts'
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
/** Publishes to a device with QoS 1. */
const publish = (system: System, from: Device, to: string, text: string, ...flags: string[]) =>
  run('mosquitto_pub', [
    ...asDevice(system.mqttsPort, from),
    ...['-q', '1', '-t', topic(to), '-m', text, ...flags],
  ])

/** A device and a backend, known to both brokers. */
async function pair(id: string): Promise<[Device, Device]> {
  const device = await enroll(one.api, world.path, id)
  const backend = await enroll(one.api, world.path, `${id}-backend`, { groups: ['backend'] })
  for (const system of [one, other])
    for (const from of [device, backend])
      await until(async () => (await publish(system, from, id, 'probe')).code === 0, 'both are admitted')
  return [device, backend]
}

test('what is published at one machine reaches a subscriber at the other, and what is retained is at both', async () => {
  const [device, backend] = await pair('m1')
  const client = await subscriber(asDevice(other.mqttsPort, device), '-t', topic('m1'))
  assert.equal((await publish(one, backend, 'm1', 'hello', '-r')).code, 0)
  await client.printed('hello')
  await client.stop()
  for (const system of [one, other]) {
    const again = await subscriber(asDevice(system.mqttsPort, device), '-t', topic('m1'))
    await again.printed(`${topic('m1')}|0|1|hello`)
    await again.stop()
  }
})

test('each service shows both brokers, and a broker its bus', async () => {
  for (const system of [one, other]) {
    const brokers = async () => (await system.ask<FleetOverview>('status')).nodes ?? []
    await until(async () => {
      const found = await brokers()
      return found.length === 2 && found.every(({ replica }) => replica !== null)
    }, 'both have reported')
    for (const { healthy, unhealthySince, replica, busConnected } of await brokers()) {
      assert.deepEqual([healthy, unhealthySince, busConnected], [true, null, true])
      assert.ok(replica!.sequence > 0 && replica!.behind < 1_000 && replica!.ageSeconds < 10)
    }
    // What was connected a moment ago may still be counted.
    const shown = /other \S+: healthy, 0 sessions, replica \d+ groups behind, \d+\.\d s old, bus connected/
    await until(async () => shown.test((await system.run('status')).stdout), 'the command says so')
  }
  assert.equal(await one.metric('rollcall_bus_connected'), 1)
  assert.ok((await one.metric('rollcall_group_commit_seconds_count')) > 0)
  assert.ok((await other.metric('rollcall_bus_messages_received_total')) > 0)
})

test('a tryout at one machine shows what a device publishes at the other, and publishes to those that are there', async () => {
  const [device, backend] = await pair('m3')
  const filter = `${topic('m3')}/#`
  for (const qos of ['0', '1']) {
    const tried = one.api.call('POST', '/v1/devices/m3/try/subscribe', { filter, seconds: 60, messages: 3 })
    let isOver = false
    const shown = tried.finally(() => {
      isOver = true
    })
    // Nothing says when it listens.
    while (!isOver)
      await run('mosquitto_pub', [
        ...asDevice(other.mqttsPort, backend),
        ...['-q', qos, '-t', `${topic('m3')}/${qos}`, '-m', 'from the other'],
      ])
    const { status, body } = await shown
    assert.deepEqual([status, body.ended], [200, 'messages'], JSON.stringify(body))
    for (const message of body.messages)
      assert.deepEqual([message.topic, message.payload], [`${topic('m3')}/${qos}`, 'from the other'])
  }

  const client = await subscriber(asDevice(other.mqttsPort, device), '-q', '1', '-t', topic('m3'))
  for (const qos of [0, 1]) {
    const said = { topic: topic('m3'), payload: `tried with ${qos}`, qos }
    const { status, body } = await one.api.call('POST', '/v1/devices/m3-backend/try/publish', said)
    assert.deepEqual([status, body.receivers], [200, 0], JSON.stringify(body))
    await client.printed(`${topic('m3')}|${qos}|0|tried with ${qos}`)
  }
  await client.stop()
})

test('a session follows its device with what waits for it, from a broker that is killed, too', async () => {
  const [device, backend] = await pair('m2')
  const args = (system: System) => [...asDevice(system.mqttsPort, device), '-c', '-q', '1', '-t', topic('m2')]
  assert.equal((await run('mosquitto_sub', [...args(one), '-E'])).code, 0)
  assert.equal((await publish(other, backend, 'm2', 'first')).code, 0)
  assert.match((await run('mosquitto_sub', [...args(other), '-C', '1', '-W', '60'])).output, /first/)
  assert.equal((await run('mosquitto_sub', [...args(one), '-E'])).code, 0)
  assert.equal((await publish(one, backend, 'm2', 'second')).code, 0)
  process.kill(one.childPid('broker'), 'SIGKILL')
  assert.equal((await publish(other, backend, 'm2', 'third')).code, 0)
  const { output } = await run('mosquitto_sub', [...args(other), '-C', '2', '-W', '60'])
  assert.match(output, /second\nthird/)
})
