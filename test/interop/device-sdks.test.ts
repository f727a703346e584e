// Clients as their packages bring them: AWS's first device SDK, Azure's device SDK, and Node-RED without a browser. Too large to be
// among our packages: `npm run interop` installs them beside and runs this file.
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { until } from '../cli/running.ts'
import { type Device, enroll } from '../e2e/devices.ts'
import { run, start } from '../e2e/mosquitto.ts'
import { type System, scratch, startSystem } from '../e2e/system.ts'

const modules = process.env['ROLLCALL_DEVICE_SDKS']

const opening = `
const { readFileSync } = require('node:fs')
const [modules, port, id, ca, cert, key] = process.argv.slice(1)
const say = (...words) => console.log(...words)
setTimeout(() => { say('overdue'); process.exit(3) }, 20000)
`

/** On Node 26 neither SDK connects to an IP address: their MQTT.js sends it as the TLS server name. */
const awsFirst = `${opening}
const device = require(modules + '/aws-iot-device-sdk').device({
  keyPath: key, certPath: cert, caPath: ca, clientId: id, host: 'localhost', port: Number(port) })
const topic = 'devices/' + id + '/t'
device.on('connect', () => {
  say('connected')
  device.subscribe(topic, { qos: 1 }, (error, granted) => {
    say('granted', granted[0].qos)
    device.publish(topic, 'x', { qos: 1 })
  })
})
device.on('message', (_topic, payload) => { say('heard', String(payload)); device.end(false, () => process.exit(0)) })
device.on('error', error => say('error', error.message))
`

/** It has no setting for the port; its username names host, device and SDK. */
const azure = `${opening}
const { Client, Message } = require(modules + '/azure-iot-device')
const { Mqtt } = require(modules + '/azure-iot-device-mqtt')
const client = Client.fromConnectionString('HostName=localhost:' + port + ';DeviceId=' + id + ';x509=true', Mqtt)
const [caText, certText, keyText] = [ca, cert, key].map(file => readFileSync(file, 'utf8'))
client.setOptions({ ca: caText, cert: certText, key: keyText })
client.open(error => {
  say('open', error)
  client.on('message', message => {
    say('told', String(message.data))
    client.complete(message, () => client.close(() => process.exit(0)))
  })
  client.sendEvent(new Message('21.5'), (error, result) => say('sent', error, result?.constructor.name))
})
`

describe('clients as their packages bring them', { skip: !modules && 'on demand: npm run interop' }, () => {
  const world = scratch()
  let system: System
  before(async () => {
    system = await startSystem(world.at('data'))
  })
  after(async () => {
    await system?.[Symbol.asyncDispose]()
    world[Symbol.dispose]()
  })
  const argsFor = ({ id, files }: Device) => [
    ...[String(modules), String(system.mqttsPort), id],
    ...[files.ca, files.certificate, files.key],
  ]

  it("AWS's first SDK subscribes, publishes and hears itself", async () => {
    const device = await enroll(system.api, world.path, 'aws-first')
    assert.deepEqual(await run(process.execPath, ['-e', awsFirst, ...argsFor(device)]), {
      code: 0,
      output: 'connected\ngranted 1\nheard x\n',
    })
  })

  it("Azure's SDK sends an event and receives a message of the backend, whatever its username says", async () => {
    const device = await enroll(system.api, world.path, 'azure-1')
    const backend = await enroll(system.api, world.path, 'backend-1', { groups: ['backend'] })
    const client = start(process.execPath, ['-e', azure, ...argsFor(device)])
    await until(async () => {
      const { body } = await system.api.call('GET', '/v1/devices/azure-1/sessions')
      return body.items.some(({ subscriptions }: { subscriptions: string[] }) => subscriptions.length > 0)
    }, 'it is subscribed')
    const flags = `-h localhost -p ${system.mqttsPort} -i backend-1 -q 1 -m set --cafile ${backend.files.ca} --cert ${backend.files.certificate} --key ${backend.files.key}`
    const topic =
      'devices/azure-1/messages/devicebound/%24.mid=1&%24.to=%2Fdevices%2Fazure-1%2Fmessages%2FdeviceBound'
    await run('mosquitto_pub', [...flags.split(' '), '-t', topic])
    const { code, output } = await client.ended
    assert.equal(code, 0, output)
    assert.deepEqual(output.trim().split('\n').toSorted(), [
      'open null',
      'sent null MessageEnqueued',
      'told set',
    ])
  })

  for (const version of ['4', '5'])
    it(`Node-RED speaks protocol version ${version}, publishes, and gives it to each node whose filter fits`, async () => {
      const { id, files } = await enroll(system.api, world.path, `nodered-${version}`)
      const [flow, broker, topic] = [{ z: 'flow' }, { broker: 'broker', qos: '1' }, `devices/${id}/echo`]
      const nodes = [
        { id: 'flow', type: 'tab', label: 'flow' },
        {
          ...{ id: 'tls', type: 'tls-config', verifyservercert: true },
          ...{ cert: files.certificate, key: files.key, ca: files.ca },
        },
        {
          ...{ id: 'broker', type: 'mqtt-broker', broker: '127.0.0.1', port: String(system.mqttsPort) },
          ...{ tls: 'tls', usetls: true, clientid: id, protocolVersion: version, keepalive: '60' },
          cleansession: true,
        },
        { ...flow, ...broker, id: 'in', type: 'mqtt in', topic, datatype: 'utf8', wires: [['tell']] },
        { ...flow, id: 'tell', type: 'function', func: "node.warn('heard ' + msg.payload)", wires: [[]] },
        {
          ...flow,
          ...broker,
          ...{
            id: 'wide',
            type: 'mqtt in',
            topic: `devices/${id}/#`,
            datatype: 'utf8',
            wires: [['tell-wide']],
          },
        },
        { ...flow, id: 'tell-wide', type: 'function', func: "node.warn('wide ' + msg.payload)", wires: [[]] },
        { ...flow, ...broker, id: 'out', type: 'mqtt out', topic, wires: [] },
        {
          ...flow,
          ...{ id: 'send', type: 'inject', payload: 'hello', payloadType: 'str', once: true, repeat: '1' },
          wires: [['out']],
        },
      ]
      const home = world.at(`home-${version}`)
      mkdirSync(home)
      writeFileSync(world.at(`flows-${version}.json`), JSON.stringify(nodes))
      const red = [`${modules}/node-red/red.js`, '-u', home, '-p', '0', world.at(`flows-${version}.json`)]
      const program = start(process.execPath, red)
      try {
        await program.printed(/heard hello/)
        await program.printed(/wide hello/)
      } finally {
        await program.stop()
      }
    })
})
