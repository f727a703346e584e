// mosquitto's own clients as devices: every QoS, retained messages, wills, all protocol versions.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { until } from '../cli/running.ts'
import { type Device, enroll } from '../e2e/devices.ts'
import { asDevice, run, start, subscriber } from '../e2e/mosquitto.ts'
import { type System, scratch, startSystem } from '../e2e/system.ts'

describe("mosquitto's clients", () => {
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
  const publish = (device: Device, ...flags: string[]) => run('mosquitto_pub', [...as(device), ...flags])

  for (const version of ['mqttv31', 'mqttv311', 'mqttv5']) {
    for (const qos of ['0', '1', '2']) {
      it(`carry a message at QoS ${qos} in ${version}`, async () => {
        const device = await enroll(system.api, world.path, `${version}-${qos}`)
        const topic = `devices/${device.id}/t`
        const received = await subscriber([...as(backend), '-V', version], '-t', topic, '-q', qos, '-C', '1')
        const sent = await publish(device, '-V', version, '-t', topic, '-m', 'grüße', '-q', qos)
        assert.equal(sent.code, 0, sent.output)
        const { code, output } = await received.ended
        assert.equal(code, 0)
        assert.match(output, new RegExp(`^${topic}\\|${qos}\\|0\\|grüße$`, 'm'))
      })
    }
  }

  it('find a retained message later, until it is cleared', async () => {
    const device = await enroll(system.api, world.path, 'keeper')
    const topic = 'devices/keeper/state'
    assert.equal((await publish(device, '-t', topic, '-m', 'open', '-r', '-q', '1')).code, 0)
    const found = await subscriber(as(backend), '-t', topic, '-C', '1')
    assert.match((await found.ended).output, /^devices\/keeper\/state\|0\|1\|open$/m)
    assert.equal((await publish(device, '-t', topic, '-n', '-r', '-q', '1')).code, 0)
    const later = await subscriber(as(backend), '-t', topic, '-C', '1')
    assert.equal((await publish(device, '-t', topic, '-m', 'live', '-q', '1')).code, 0)
    assert.match((await later.ended).output, /^devices\/keeper\/state\|0\|0\|live$/m)
  })

  it('find what waited for them after the broker was killed', async () => {
    const device = await enroll(system.api, world.path, 'dormant')
    const topic = 'devices/dormant/commands'
    const session = [...as(device), '-c', '-q', '2', '-t', topic]
    assert.equal((await run('mosquitto_sub', [...session, '-E'])).code, 0)
    for (const qos of ['1', '2'])
      assert.equal((await publish(backend, '-t', topic, '-m', `kept at ${qos}`, '-q', qos)).code, 0)
    const killed = system.childPid('broker')
    process.kill(killed, 'SIGKILL')
    await until(async () => {
      const alive = system.lines().filter(({ msg }) => msg === 'listening').length
      return alive >= 2 && (await system.admin('/readyz')).status === 200
    }, 'the broker is back')
    const { code, output } = await run('mosquitto_sub', [...session, '-C', '2'])
    assert.equal(code, 0, output)
    assert.deepEqual(output.match(/kept at \d/g), ['kept at 1', 'kept at 2'])
  })

  it('have their will sent when they die, and not when they take their leave', async () => {
    const device = await enroll(system.api, world.path, 'mortal')
    const will = ['--will-topic', 'devices/mortal/gone', '--will-payload', 'died', '--will-qos', '1']
    const mourner = await subscriber(as(backend), '-t', 'devices/mortal/#', '-q', '1', '-C', '2')
    const polite = await subscriber(as(device), '-t', 'devices/mortal/commands', ...will)
    await polite.stop()
    assert.equal((await publish(device, '-t', 'devices/mortal/t', '-m', 'between', '-q', '1')).code, 0)
    const killed = await subscriber(as(device), '-t', 'devices/mortal/commands', ...will)
    await killed.stop('SIGKILL')
    const { output } = await mourner.ended
    const heard = [...output.matchAll(/^devices\/mortal\/(.*)$/gm)].map(([, rest]) => rest)
    assert.deepEqual(heard, ['t|1|0|between', 'gone|1|0|died'])
  })

  it('keep a session while they are away, and are handed what came', async () => {
    const device = await enroll(system.api, world.path, 'sleeper')
    const subscription = ['-c', '-t', 'devices/sleeper/commands', '-q', '1']
    const first = await subscriber(as(device), ...subscription)
    await first.stop()
    const down = await publish(backend, '-t', 'devices/sleeper/commands', '-m', 'wake up', '-q', '1')
    assert.equal(down.code, 0)
    // What waited may come before the subscription is answered.
    const second = await run('mosquitto_sub', [...as(device), ...subscription, '-C', '1', '-F', '%q|%p'])
    assert.deepEqual(second, { code: 0, output: '1|wake up\n' })
  })

  it('are refused what their policy does not allow: a subscription by its code, a publish by the end', async () => {
    const device = await enroll(system.api, world.path, 'curious')
    const spy = start('stdbuf', ['-oL', 'mosquitto_sub', ...as(device), '-d', '-t', '#'])
    await spy.printed('Subscribed (mid: 1): 128')
    await spy.stop()
    const heard = await subscriber(as(backend), '-t', 'devices/#', '-C', '1')
    const denied = await publish(device, '-t', 'devices/keeper/state', '-m', 'untrue', '-q', '1')
    assert.notEqual(denied.code, 0)
    assert.equal((await publish(device, '-t', 'devices/curious/t', '-m', 'truth', '-q', '1')).code, 0)
    assert.doesNotMatch((await heard.ended).output, /untrue/)
  })

  it('may not call themselves another device, while a username and password change nothing', async () => {
    const device = await enroll(system.api, world.path, 'itself')
    const message = ['-t', 'devices/itself/t', '-m', '1', '-q', '1']
    const { code, output } = await publish(device, ...message, '-i', 'keeper')
    assert.notEqual(code, 0)
    assert.match(output, /identifier rejected/i)
    for (const ignored of [
      ['-u', 'keeper'],
      ['-u', 'itself', '-P', 'secret'],
      ['-u', ''],
    ])
      assert.equal((await publish(device, ...message, ...ignored)).code, 0, ignored.join(' '))
    const other = ['-t', 'devices/keeper/t', '-m', '1', '-q', '1', '-u', 'keeper', '-V', 'mqttv311']
    assert.notEqual((await publish(device, ...other)).code, 0, 'a username gives no rights')
  })

  it('without a certificate of the roll are cut, and a device does not talk to a broker it does not trust', async () => {
    const device = await enroll(system.api, world.path, 'careful')
    const address = [
      '-h',
      '127.0.0.1',
      '-p',
      String(system.mqttsPort),
      '-t',
      'devices/careful/t',
      '-m',
      '1',
      '-q',
      '1',
    ]
    const bare = await run('mosquitto_pub', [...address, '--cafile', device.files.ca])
    assert.notEqual(bare.code, 0)
    const unencrypted = await run('mosquitto_pub', address)
    assert.notEqual(unencrypted.code, 0)
    const credentials = ['--cert', device.files.certificate, '--key', device.files.key]
    const elsewhere = await run('mosquitto_pub', [
      ...address,
      ...credentials,
      '--cafile',
      device.files.certificate,
    ])
    assert.notEqual(elsewhere.code, 0)
    assert.match(elsewhere.output, /certificate verify failed|TLS|SSL/i)
  })
})
