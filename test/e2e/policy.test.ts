// Policies from the command line to mosquitto's clients: a whole system, changed while devices are connected.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { until } from '../cli/running.ts'
import { type Device, enroll } from './devices.ts'
import { asDevice, run, start, subscriber } from './mosquitto.ts'
import { type System, scratch, startSystem } from './system.ts'

describe('a policy changed while devices are connected', () => {
  const world = scratch()
  let system: System
  let backend: Device
  before(async () => {
    system = await startSystem(world.at('data'))
    backend = await enroll(system.api, world.path, 'backend', { groups: ['backend'] })
  })
  after(async () => {
    await system?.[Symbol.asyncDispose]()
    world[Symbol.dispose]()
  })

  const as = (device: Device) => asDevice(system.mqttsPort, device)
  async function publish(...flags: string[]) {
    const { code, output } = await run('mosquitto_pub', [...as(backend), '-q', '1', ...flags])
    assert.equal(code, 0, output)
  }
  async function rollcall(...args: string[]) {
    const { code, stdout, stderr } = await system.run(...args)
    assert.equal(code, 0, stderr)
    return { stdout, stderr }
  }
  function file(name: string, document: unknown): string {
    writeFileSync(world.at(`${name}.json`), JSON.stringify(document))
    return world.at(`${name}.json`)
  }
  const denying = (name: string, actions: string[], topics: string[]) =>
    file(name, { name, statements: [{ effect: 'deny', actions, topics }] })

  it('is tried on the fleet first, then takes just what it said it would', async () => {
    const device = await enroll(system.api, world.path, 'tried')
    const listener = await subscriber(
      as(device),
      ...['-t', 'devices/tried/a', '-t', 'devices/tried/secret/#', '-q', '1', '-C', '2'],
    )
    const draft = denying('no-secrets', ['subscribe', 'receive'], ['devices/+/secret/#'])
    const tried = () =>
      system.ask<{ subscriptionsNoted: number; items: { deviceId: string; subscriptionsLost: string[] }[] }>(
        ...['policy', 'simulate', draft, '--fleet', '-o', 'json'],
      )
    await rollcall('policy', 'apply', draft)
    await rollcall('policy', 'attach', 'no-secrets', '--group', 'careful')
    assert.equal((await tried()).items.length, 0, 'nobody is in the group')
    await rollcall('policy', 'detach', 'no-secrets', '--group', 'careful')
    const asked = ['--device', 'tried', '--subscribe', 'devices/tried/secret/x', '-o', 'json']
    const simulated = await system.ask<{
      results: { now: { allowed: boolean }; draft: { verdict: string } }[]
    }>(...['policy', 'simulate', draft, ...asked])
    assert.deepEqual(
      simulated.results.map(({ now, draft: then }) => [now.allowed, then.verdict]),
      [[true, 'denied']],
    )
    const { stderr } = await rollcall('policy', 'attach', 'no-secrets', '--device', 'tried')
    assert.match(stderr, /1 of 1 brokers acknowledged/)
    await publish('-t', 'devices/tried/secret/x', '-m', 'hidden')
    await publish('-t', 'devices/tried/a', '-m', 'one')
    await publish('-t', 'devices/tried/a', '-m', 'two')
    const { output } = await listener.ended
    assert.deepEqual(
      output.split('\n').filter(line => line.startsWith('devices/')),
      ['devices/tried/a|1|0|one', 'devices/tried/a|1|0|two'],
    )
  })

  it('shows in a trial which live subscriptions it would drop', async () => {
    const device = await enroll(system.api, world.path, 'live')
    const listener = await subscriber(as(device), '-t', 'devices/live/a', '-t', 'devices/live/b', '-q', '1')
    const draft = file('default', {
      name: 'default',
      statements: [{ effect: 'allow', actions: ['subscribe'], topics: [`devices/\${device.id}/a`] }],
    })
    type Trial = { items: { deviceId: string; connected: boolean; subscriptionsLost: string[] }[] }
    let found: Trial['items'][number] | undefined
    for (const deadline = performance.now() + 60_000; found?.connected !== true; ) {
      assert.ok(performance.now() < deadline, 'the broker noted no subscription')
      const { items } = await system.ask<Trial>('policy', 'simulate', draft, '--fleet', '-o', 'json')
      found = items.find(({ deviceId }) => deviceId === 'live')
    }
    assert.deepEqual(found.subscriptionsLost, ['devices/live/b'])
    await listener.stop()
  })

  it('hides a retained message from a device that may not receive it, and one whose publisher lost the right', async () => {
    const device = await enroll(system.api, world.path, 'reader', { groups: ['backend'] })
    const publisher = await enroll(system.api, world.path, 'writer')
    const state = ['-t', 'devices/writer/state', '-q', '1', '-r', '-m', 'kept']
    assert.equal((await run('mosquitto_pub', [...as(publisher), ...state])).code, 0)
    await publish('-t', 'devices/reader/open', '-m', 'open', '-r')
    const topics = ['devices/writer/state', 'devices/reader/open', 'devices/reader/end']
    const seen = async () => {
      const reader = await subscriber(as(device), ...topics.flatMap(topic => ['-t', topic]), '-q', '1')
      // What is kept is sent with the subscription, so this comes last.
      await publish('-t', 'devices/reader/end', '-m', 'end')
      await reader.printed('devices/reader/end|')
      const { output } = await reader.stop()
      return [...output.matchAll(/^(devices\/\w+\/\w+)\|1\|1\|/gm)].map(([, topic]) => topic).sort()
    }
    assert.deepEqual(await seen(), ['devices/reader/open', 'devices/writer/state'])
    await rollcall('policy', 'apply', denying('blind', ['receive'], ['devices/writer/#']))
    await rollcall('policy', 'attach', 'blind', '--device', 'reader')
    assert.deepEqual(await seen(), ['devices/reader/open'])
    await rollcall('policy', 'detach', 'blind', '--device', 'reader')
    await rollcall('policy', 'apply', denying('mute', ['publish', 'will'], ['devices/writer/#']))
    await rollcall('policy', 'attach', 'mute', '--device', 'writer')
    assert.deepEqual(await seen(), ['devices/reader/open'])
    await rollcall('policy', 'detach', 'mute', '--device', 'writer')
    assert.deepEqual(await seen(), ['devices/reader/open', 'devices/writer/state'])
    await rollcall('device', 'decommission', 'writer')
    assert.deepEqual(await seen(), ['devices/reader/open'])
  })

  it('lets two of mosquitto’s clients share a subscription, and refuses one that it would refuse alone', async () => {
    const second = await enroll(system.api, world.path, 'backend-2', { groups: ['backend'] })
    const shared = ['-t', '$share/g/devices/shared/up', '-q', '1']
    const clients = [await subscriber(as(backend), ...shared), await subscriber(as(second), ...shared)]
    const device = await enroll(system.api, world.path, 'shared')
    const lines = Array.from({ length: 10 }, (_, number) => `message-${number}`).join('\n')
    const sent = await run(
      'mosquitto_pub',
      [...as(device), '-t', 'devices/shared/up', '-q', '1', '-l'],
      lines,
    )
    assert.equal(sent.code, 0)
    const seen = () => clients.map(client => client.output().match(/\|message-\d/g) ?? [])
    await until(async () => seen().flat().length >= 10, 'all are delivered')
    assert.deepEqual(
      seen().map(({ length }) => length),
      [5, 5],
    )
    assert.equal(new Set(seen().flat()).size, 10)
    for (const client of clients) await client.stop()
    const spy = start('stdbuf', ['-oL', 'mosquitto_sub', ...as(device), '-d', '-t', '$share/g/devices/#'])
    await spy.printed('Subscribed (mid: 1): 128')
    await spy.stop()
  })
})
