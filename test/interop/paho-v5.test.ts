// Python's paho (Debian: python3-paho-mqtt) in MQTT 5: properties both ways, and its sessions.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { run } from '../e2e/mosquitto.ts'
import { scratch } from '../e2e/system.ts'
import { startTarget, type Target, targetNames } from './brokers.ts'

const PYTHON = '/usr/bin/python3'
const present = existsSync(PYTHON) && spawnSync(PYTHON, ['-c', 'import paho.mqtt.client']).status === 0

const opening = `
import json, sys
import paho.mqtt.client as mqtt
from paho.mqtt.properties import Properties
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.subscribeoptions import SubscribeOptions
port, device, ca, certificate, key, mode = sys.argv[1:]
def say(*words): print(*words, flush=True)
client = mqtt.Client(client_id=device, protocol=mqtt.MQTTv5)
client.tls_set(ca_certs=ca, certfile=certificate, keyfile=key)
base = 'devices/' + device + '/'
`

/** Sends itself a message with every property at each QoS; prints what happens. */
const visitor = `${opening}
def on_connect(client, userdata, flags, reason, properties):
    say('connack', reason.value, flags['session present'])
    options = SubscribeOptions(qos=2, noLocal=False, retainAsPublished=True, retainHandling=1)
    client.subscribe([(base + 'echo', options)])
def on_subscribe(client, userdata, mid, reasons, properties):
    say('suback', *[reason.value for reason in reasons])
    for qos in (0, 1, 2):
        own = Properties(PacketTypes.PUBLISH)
        own.PayloadFormatIndicator = 1
        own.MessageExpiryInterval = 600
        own.ContentType = 'text/plain'
        own.ResponseTopic = base + 'answers'
        own.CorrelationData = b'c-1'
        own.UserProperty = [('hop', 'first'), ('site', 'north'), ('hop', 'second')]
        client.publish(base + 'echo', 'at ' + str(qos), qos=qos, properties=own)
seen = []
def on_message(client, userdata, message):
    own = message.properties.json()
    own.pop('MessageExpiryInterval')
    say('message', message.qos, message.payload.decode(), own['ContentType'], own['ResponseTopic'], own['CorrelationData'], own['PayloadFormatIndicator'], own['UserProperty'])
    seen.append(message)
    if len(seen) == 3: client.disconnect()
client.on_connect, client.on_subscribe, client.on_message = on_connect, on_subscribe, on_message
client.connect('localhost', int(port), 30)
client.loop_forever()
`

/** Connects once and prints whether a session was there. */
const returner = `${opening}
expiry = Properties(PacketTypes.CONNECT)
if mode != 'none': expiry.SessionExpiryInterval = int(mode)
def on_connect(client, userdata, flags, reason, properties):
    say('present', flags['session present'])
    client.disconnect()
client.on_connect = on_connect
client.connect('localhost', int(port), 30, clean_start=False, properties=expiry)
client.loop_forever()
`

for (const name of targetNames) {
  describe(`paho in MQTT 5 at ${name}`, {
    skip: !present && 'needs the Debian package python3-paho-mqtt',
  }, () => {
    const world = scratch()
    let target: Target
    before(async () => {
      target = await startTarget(name, world.at(name))
    })
    after(async () => {
      await target?.[Symbol.asyncDispose]()
      world[Symbol.dispose]()
    })
    const play = ({ id, files }: Target['backends'][number], script: string, mode = '') => {
      const { ca, certificate, key } = files
      return run(PYTHON, ['-c', script, String(target.port), id, ca, certificate, key, mode])
    }

    it('hears its own messages with every property, user properties in their order', async () => {
      const device = await target.device('python-1')
      const { code, output } = await play(device, visitor)
      const [connack, suback, ...messages] = output.trim().split('\n')
      assert.deepEqual([code, connack, suback], [0, 'connack 0 0', 'suback 2'])
      const rest =
        "text/plain devices/python-1/answers 632d31 1 [('hop', 'first'), ('site', 'north'), ('hop', 'second')]"
      assert.deepEqual(
        messages.toSorted(),
        [0, 1, 2].map(qos => `message ${qos} at ${qos} ${rest}`),
      )
    })

    it('finds its session for as long as it asked, and none where it did not ask', async () => {
      const device = await target.device('python-2')
      const present = async (expiry: string) => (await play(device, returner, expiry)).output.trim()
      assert.deepEqual(
        [await present('600'), await present('600'), await present('none'), await present('600')],
        ['present 0', 'present 1', 'present 1', 'present 0'],
      )
    })
  })
}
