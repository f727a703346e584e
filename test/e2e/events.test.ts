// Events on a topic, with mosquitto's clients: a backend whose policy names them hears of every device, nobody else does, and
// nobody can make one up.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { type Device, enroll } from './devices.ts'
import { asDevice, run, start, subscriber } from './mosquitto.ts'
import { type System, scratch, startSystem } from './system.ts'

describe('events on a topic', () => {
  const world = scratch()
  let system: System
  let backend: Device
  before(async () => {
    system = await startSystem(world.at('data'))
    backend = await enroll(system.api, world.path, 'backend-1')
    const policy = world.at('events.json')
    const topics = ['$rollcall/events/#']
    writeFileSync(
      policy,
      JSON.stringify({ name: 'events', statements: [{ effect: 'allow', actions: ['subscribe'], topics }] }),
    )
    for (const words of [
      ['policy', 'apply', policy],
      ['policy', 'attach', 'events', '--device', 'backend-1'],
    ]) {
      const { code, stderr } = await system.run(...words)
      assert.equal(code, 0, stderr)
    }
  })
  after(async () => {
    await system?.[Symbol.asyncDispose]()
    world[Symbol.dispose]()
  })
  const as = (device: Device) => asDevice(system.mqttsPort, device)

  it('tells a backend of devices that come, go, are refused and are enrolled', async () => {
    const listener = await subscriber(as(backend), '-t', '$rollcall/events/#', '-q', '1')
    const pump = await enroll(system.api, world.path, 'pump-1')
    const publish = ['-t', 'devices/pump-1/up', '-m', 'hello', '-q', '1']
    assert.equal((await run('mosquitto_pub', [...as(pump), ...publish])).code, 0)
    await listener.printed('$rollcall/events/disconnected/pump-1|1|0|')
    const { code, stderr } = await system.run('device', 'suspend', 'pump-1')
    assert.equal(code, 0, stderr)
    await listener.printed('$rollcall/events/suspended/pump-1|1|0|')
    assert.notEqual((await run('mosquitto_pub', [...as(pump), ...publish])).code, 0)
    await listener.printed('$rollcall/events/refused/pump-1|1|0|')
    const { output } = await listener.stop()
    assert.match(output, /\$rollcall\/events\/enrolled\/pump-1\|1\|0\|/)
    const told = output.split('\n').find(line => line.startsWith('$rollcall/events/refused/pump-1'))!
    const event = JSON.parse(told.slice(told.indexOf('{')))
    assert.deepEqual([event.kind, event.deviceId, event.reason], ['refused', 'pump-1', 'device_suspended'])
  })

  it('keeps for a backend that is away what it will hear when it is back', async () => {
    const away = ['-c', '-t', '$rollcall/events/enrolled/+', '-q', '1']
    await (await subscriber(as(backend), ...away)).stop()
    await enroll(system.api, world.path, 'pump-2')
    const back = start('mosquitto_sub', [...as(backend), ...away, '-F', '%t', '-C', '1', '-W', '60'])
    const { code, output } = await back.ended
    assert.equal(code, 0, output)
    assert.match(output, /enrolled\/pump-2/)
  })

  it('is closed to devices, and nobody publishes there', async () => {
    const pump = await enroll(system.api, world.path, 'pump-3')
    const listening = await run('mosquitto_sub', [...as(pump), '-t', '$rollcall/events/#', '-W', '60'])
    assert.match(listening.output, /All subscription requests were denied/)
    const forged = ['-t', '$rollcall/events/revoked/pump-1', '-m', '{}', '-q', '1']
    for (const device of [pump, backend]) {
      const { code } = await run('mosquitto_pub', [...as(device), ...forged])
      assert.notEqual(code, 0)
    }
  })
})
