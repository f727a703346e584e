// A broker that stops: what `shutdownNotice` tells clients of MQTT 5, and which clients come back when it listens again.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import mqtt, { type MqttClient } from 'mqtt'
import type { BrokerSettings } from '../../broker/settings/validation.ts'
import { type Running, start } from '../e2e/mosquitto.ts'
import { startTestBroker, type TestBroker } from '../harness/broker.ts'
import { createRoll, type Roll } from '../harness/roll.ts'
import { until } from '../harness/until.ts'

const PYTHON = '/usr/bin/python3'
const hasPaho = existsSync(PYTHON) && spawnSync(PYTHON, ['-c', 'import paho.mqtt.client']).status === 0
const REFERENCE = 'mqtt2.example:8883 [2001:db8::1]:8883'

/** Says what it is told at the end of a connection, and returns by itself. */
const paho = `
import sys
import paho.mqtt.client as mqtt
port, device, folder = sys.argv[1:]
client = mqtt.Client(client_id=device, protocol=mqtt.MQTTv5)
client.tls_set(ca_certs=folder + '/ca.crt', certfile=folder + '/' + device + '.crt', keyfile=folder + '/' + device + '.key')
def on_disconnect(client, userdata, reason, properties=None):
    code = reason if isinstance(reason, int) else reason.value
    reference = getattr(properties, 'ServerReference', '') if properties is not None else ''
    print('ended', code, reference, flush=True)
client.on_connect = lambda client, userdata, flags, reason, properties: print('connack', reason.value, flush=True)
client.on_disconnect = on_disconnect
client.reconnect_delay_set(1, 1)
client.connect('localhost', int(port))
client.loop_forever(retry_first_connection=True)
`

describe('a broker that stops', { skip: !hasPaho && 'python3-paho-mqtt is not there' }, () => {
  let roll: Roll
  let t: TestBroker
  let heard: { code: number; reference: string | undefined }[]
  let modern: MqttClient
  let classic: MqttClient
  let mosquitto: Running
  let python: Running
  beforeEach(async () => {
    roll = await createRoll()
    heard = []
  })
  afterEach(async () => {
    await Promise.all([modern, classic].map(client => client.endAsync(true)))
    await Promise.all([mosquitto, python].map(program => program.stop('SIGKILL')))
    await t.close()
    await roll.close()
  })
  const at = (name: string) => join(roll.data, name)
  const connects = (id: string) =>
    t.lines.filter(({ msg, deviceId }) => msg === 'connected' && deviceId === id).length

  async function begin(settings: Partial<BrokerSettings>): Promise<void> {
    t = await startTestBroker({ roll, settings })
    const connect = async (id: string, protocolVersion: 4 | 5) => {
      const { certificate, key } = await roll.enroll(id)
      return mqtt.connectAsync(`mqtts://localhost:${t.broker.port}`, {
        clientId: id,
        protocolVersion,
        cert: certificate,
        key,
        ca: roll.root.certificate,
        reconnectPeriod: 100,
      })
    }
    modern = await connect('modern', 5)
    classic = await connect('classic', 4)
    for (const client of [modern, classic]) client.on('error', () => {})
    modern.on('disconnect', ({ reasonCode, properties }) =>
      heard.push({ code: reasonCode ?? 0, reference: properties?.serverReference }),
    )
    for (const id of ['mosquitto', 'paho']) {
      const identity = await roll.enroll(id)
      writeFileSync(at(`${id}.crt`), identity.certificate)
      writeFileSync(at(`${id}.key`), identity.key, { mode: 0o600 })
    }
    const tls = `--cafile ${at('ca.crt')} --cert ${at('mosquitto.crt')} --key ${at('mosquitto.key')}`
    const flags = `-V 5 -h localhost -p ${t.broker.port} -i mosquitto -t devices/mosquitto/# ${tls}`
    mosquitto = start('mosquitto_sub', flags.split(' '))
    python = start(PYTHON, ['-c', paho, String(t.broker.port), 'paho', roll.data])
    await until(() => connects('mosquitto') === 1 && connects('paho') === 1)
  }

  async function again(): Promise<void> {
    const { port } = t.broker
    await t.close()
    t = await startTestBroker({ roll, port })
  }

  it('sends no DISCONNECT by default, and everybody returns', async () => {
    await begin({})
    await again()
    await until(() => ['modern', 'classic', 'mosquitto', 'paho'].every(id => connects(id) > 0))
    assert.deepEqual(heard, [])
  })

  for (const [shutdownNotice, code] of [
    ['server_shutting_down', 0x8b],
    ['use_another_server', 0x9c],
    ['server_moved', 0x9d],
  ] as const)
    it(`sends ${shutdownNotice} where it is set: MQTT.js and Paho return, mosquitto_sub does not`, async () => {
      await begin({ shutdownNotice, serverReference: REFERENCE })
      await again()
      assert.deepEqual(heard, [{ code, reference: REFERENCE }])
      await python.printed(`ended ${code} ${REFERENCE}`)
      assert.equal((await mosquitto.ended).code, 0)
      await until(() => ['modern', 'classic', 'paho'].every(id => connects(id) > 0))
    })
})
