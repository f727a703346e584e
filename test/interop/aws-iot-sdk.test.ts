// AWS's device SDK for Node (aws-iot-device-sdk-v2) with its default settings: its MQTT 5 client and its 3.1.1 client.
// It takes 56 MB, so it is not among our packages: `npm run interop` installs it beside and runs this file.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { run } from '../e2e/mosquitto.ts'
import { scratch } from '../e2e/system.ts'
import { startTarget, type Target, type TargetName, targetNames } from './brokers.ts'

const sdk = process.env['ROLLCALL_AWS_IOT_SDK']

const opening = `
const { mqtt5, mqtt, iot } = require(process.env.ROLLCALL_AWS_IOT_SDK)
const [port, id, ca, certificate, key] = process.argv.slice(1)
const topic = 'devices/' + id + '/t'
const say = (...words) => console.log(...words)
setTimeout(() => { say('overdue'); process.exit(3) }, 20000)
// Its native threads keep the process alive after stop() and close().
const leave = () => process.exit(0)
`

/** Connects, hears itself with its user properties in order, publishes where it may not, takes its leave. */
const modern = `${opening}
const builder = iot.AwsIotMqtt5ClientConfigBuilder.newDirectMqttBuilderWithMtlsFromPath('localhost', certificate, key)
builder.withCertificateAuthorityFromPath(undefined, ca).withPort(Number(port))
builder.withConnectProperties({ clientId: id, keepAliveIntervalSeconds: 30 })
const client = new mqtt5.Mqtt5Client(builder.build())
client.on('connectionFailure', ({ connack }) => { say('failed', connack?.reasonCode); client.stop() })
client.on('connectionSuccess', async ({ settings }) => {
  say('connected', settings.clientId)
  const { reasonCodes } = await client.subscribe({ subscriptions: [{ qos: 1, topicFilter: topic }] })
  say('granted', ...reasonCodes)
  const userProperties = [['hop', 'first'], ['site', 'north'], ['hop', 'second']].map(([name, value]) => ({ name, value }))
  const heard = new Promise(resolve => client.once('messageReceived', ({ message }) => resolve(message)))
  const { reasonCode } = await client.publish({ qos: 1, topicName: topic, payload: 'x', contentType: 'text/plain', userProperties })
  say('published', reasonCode)
  const message = await heard
  say('heard', message.contentType, ...message.userProperties.map(({ name, value }) => name + ':' + value))
  const denied = await client.publish({ qos: 1, topicName: 'devices/somebody/t', payload: 'x' })
  say('denied', denied.reasonCode)
  client.stop()
})
client.on('stopped', () => leave())
client.start()
`

const classic = `${opening}
const builder = iot.AwsIotMqttConnectionConfigBuilder.new_mtls_builder_from_path(certificate, key)
builder.with_certificate_authority_from_path(undefined, ca).with_endpoint('localhost').with_port(Number(port)).with_client_id(id)
const connection = new mqtt.MqttClient().new_connection(builder.build())
connection.on('error', error => say('error', error.message ?? error))
const talk = async () => {
  say('present', await connection.connect())
  const heard = new Promise(resolve => connection.subscribe(topic, mqtt.QoS.AtLeastOnce, (_topic, payload) => resolve(payload)).then(({ qos }) => {
    say('granted', qos)
    return connection.publish(topic, 'x', mqtt.QoS.AtLeastOnce)
  }))
  say('heard', Buffer.from(await heard).toString())
  await connection.disconnect()
  leave()
}
talk().catch(error => { say('failed', String(error)); process.exit(1) })
`

const speakMqtt5: readonly TargetName[] = targetNames
for (const name of ['mosquitto', 'rollcall'] as const) {
  describe(`AWS's SDK at ${name}`, { skip: !sdk && 'on demand: npm run interop' }, () => {
    const world = scratch()
    let target: Target
    before(async () => {
      target = await startTarget(name, world.at(name))
    })
    after(async () => {
      await target?.[Symbol.asyncDispose]()
      world[Symbol.dispose]()
    })
    const play = async (script: string, id: string) => {
      const { files } = await target.device(id)
      const args = [String(target.port), id, files.ca, files.certificate, files.key]
      return run(process.execPath, ['-e', script, ...args])
    }

    const modernSkip = !speakMqtt5.includes(name) && 'no MQTT 5 there'
    it('speaks MQTT 5, and is told what it may not do', { skip: modernSkip }, async () => {
      assert.deepEqual(await play(modern, 'aws-5'), {
        code: 0,
        output: [
          'connected aws-5',
          'granted 1',
          'published 0',
          'heard text/plain hop:first site:north hop:second',
          'denied 135',
          '',
        ].join('\n'),
      })
    })

    it('speaks MQTT 3.1.1', async () => {
      assert.deepEqual(await play(classic, 'aws-311'), {
        code: 0,
        output: 'present false\ngranted 1\nheard x\n',
      })
    })
  })
}
