// Usernames and passwords as deployed clients send them: no identity, so no reason to refuse anybody. Shown, and cut to a bound.
import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import {
  attempt,
  connectPacket,
  firstBytes,
  openTls,
  startTestBroker,
  type TestBroker,
} from '../../harness/broker.ts'
import { until } from '../../harness/until.ts'

let t: TestBroker
afterEach(() => t.close())

/** What clients send by default, or where their forms are left empty. */
const sent: Record<string, { username?: string; password?: string }> = {
  'AWS IoT Device SDK v2': { username: '?SDK=NodeJSv2&Version=1.28.2' },
  'AWS IoT Device SDK v1': { username: '?SDK=JavaScript&Version=2.2.13' },
  'Azure IoT device SDK': {
    username: 'broker.example/d1/?api-version=2021-04-12&DeviceClientType=azure-iot-device%2F1.18.3',
  },
  'an empty username': { username: '' },
  'an empty username and password, as Tasmota and ChirpStack send': { username: '', password: '' },
  'DVES_USER and a password': { username: 'DVES_USER', password: 'DVES_PASS' },
  "another device's ID": { username: 'd2', password: 'x' },
  'a very long username': { username: 'x'.repeat(5_000) },
}

for (const [name, credentials] of Object.entries(sent)) {
  test(`${name}: connects as the device of its certificate, and is shown`, async () => {
    t = await startTestBroker()
    const identity = await t.roll.enroll('d1')
    const socket = await openTls(t, { identity })
    socket.write(connectPacket({ clientId: 'd1', ...credentials }))
    assert.equal((await firstBytes(socket))?.[3], 0)
    await t.line(line => line.msg === 'connected' && line.deviceId === 'd1')
    const facts = t.roll.registry.sqlite.prepare('SELECT facts FROM live_sessions').pluck()
    await until(() => facts.get() !== undefined)
    assert.equal(JSON.parse(facts.get() as string).username, credentials.username?.slice(0, 128))
    socket.destroy()
  })
}

test('strictly, a client that names another device is refused, and an empty password is none', async () => {
  t = await startTestBroker({ settings: { usernames: 'strict' } })
  const identity = await t.roll.enroll('d1')
  for (const [connect, seen] of [
    [{ username: 'd1' }, 'connack 0'],
    [{ username: 'd1', password: '' }, 'connack 0'],
    [{ username: '' }, 'connack 4'],
    [{ username: 'd2' }, 'connack 4'],
    [{ username: 'd1', password: 'x' }, 'connack 4'],
  ] as const)
    assert.equal(await attempt(t, { identity, connect: { clientId: 'd1', ...connect } }), seen)
})
