// Python's paho (Debian: python3-paho-mqtt) as a device: it connects, publishes, receives, and is told why it may not.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { describe, it } from 'node:test'
import { until } from '../cli/running.ts'
import { enroll } from '../e2e/devices.ts'
import { run } from '../e2e/mosquitto.ts'
import { scratch, startSystem } from '../e2e/system.ts'

const PYTHON = '/usr/bin/python3'
const present = existsSync(PYTHON) && spawnSync(PYTHON, ['-c', 'import paho.mqtt.client']).status === 0

/** Prints each thing that happened, one a line: the CONNACK's code, what was received, how it ended. */
const visitor = `
import sys
import paho.mqtt.client as mqtt
port, device, ca, certificate, key = sys.argv[1:]
topic = 'devices/' + device + '/echo'
client = mqtt.Client(client_id=device, protocol=mqtt.MQTTv311)
client.tls_set(ca_certs=ca, certfile=certificate, keyfile=key)
def on_connect(client, userdata, flags, code):
    print('connack', code, flush=True)
    if code != 0:
        client.disconnect()
    else:
        client.subscribe([(topic, 2), ('devices/somebody-else/#', 1)])
def on_subscribe(client, userdata, mid, granted):
    print('granted', *granted, flush=True)
    client.publish(topic, 'to myself', qos=2)
def on_message(client, userdata, message):
    print('message', message.topic, message.qos, message.payload.decode(), flush=True)
    client.disconnect()
client.on_connect, client.on_subscribe, client.on_message = on_connect, on_subscribe, on_message
client.connect('localhost', int(port), 30)
client.loop_forever()
`

/** Connects once, with a clean session or a kept one; prints whether a session was present. */
const returner = `
import sys
import paho.mqtt.client as mqtt
port, device, ca, certificate, key, clean = sys.argv[1:]
client = mqtt.Client(client_id=device, clean_session=clean == 'clean', protocol=mqtt.MQTTv311)
client.tls_set(ca_certs=ca, certfile=certificate, keyfile=key)
def on_connect(client, userdata, flags, code):
    print('present', flags['session present'], flush=True)
    client.disconnect()
client.on_connect = on_connect
client.connect('localhost', int(port), 30)
client.loop_forever()
`

describe('paho', () => {
  it('exchanges QoS 2 messages, is denied what is not its own, and is refused once suspended', async t => {
    if (!present) return t.skip('needs the Debian package python3-paho-mqtt')
    using world = scratch()
    await using system = await startSystem(world.at('data'))
    const device = await enroll(system.api, world.path, 'python-1')
    const { ca, certificate, key } = device.files
    const visit = () =>
      run(PYTHON, ['-c', visitor, String(system.mqttsPort), device.id, ca, certificate, key])
    const welcome = await visit()
    assert.deepEqual(welcome, {
      code: 0,
      output: 'connack 0\ngranted 2 128\nmessage devices/python-1/echo 2 to myself\n',
    })
    assert.equal((await system.api.call('POST', '/v1/devices/python-1/suspend')).status, 200)
    const refused = await visit()
    assert.match(refused.output, /^connack 5\n/)
    assert.doesNotMatch(refused.output, /granted/)
  })

  it('finds an empty session present until a clean one ends it, also after the broker was killed', async t => {
    if (!present) return t.skip('needs the Debian package python3-paho-mqtt')
    using world = scratch()
    await using system = await startSystem(world.at('data'))
    const device = await enroll(system.api, world.path, 'python-2')
    const { ca, certificate, key } = device.files
    const visit = async (kind: 'clean' | 'kept') => {
      const args = ['-c', returner, String(system.mqttsPort), device.id, ca, certificate, key, kind]
      return (await run(PYTHON, args)).output.trim()
    }
    assert.deepEqual([await visit('kept'), await visit('kept')], ['present 0', 'present 1'])
    process.kill(system.childPid('broker'), 'SIGKILL')
    await until(async () => {
      const alive = system.lines().filter(({ msg }) => msg === 'listening').length
      return alive >= 2 && (await system.admin('/readyz')).status === 200
    }, 'the broker is back')
    assert.equal(await visit('kept'), 'present 1')
    assert.deepEqual([await visit('clean'), await visit('kept')], ['present 0', 'present 0'])
  })
})
