// A device: publishes a temperature every few seconds and obeys commands. Usage: node device.mjs FOLDER DEVICE_ID
import { readFileSync } from 'node:fs'
import { connect } from 'mqtt'

const [folder, device] = process.argv.slice(2)
const { ROLLCALL_HOST: host = '127.0.0.1', ROLLCALL_PORT: port = '8883' } = process.env

const client = connect(`mqtts://${host}:${port}`, {
  clientId: device,
  ca: readFileSync(`${folder}/ca.crt`),
  cert: readFileSync(`${folder}/device.crt`),
  key: readFileSync(`${folder}/device.key`),
  keepalive: 60,
  reconnectPeriod: 1_000 + Math.random() * 4_000, // random, so that a fleet does not come back in step
  reconnectOnConnackError: true, // a device that is suspended today may be activated tomorrow
})
client.on('connect', () => {
  client.subscribe(`devices/${device}/commands/#`, { qos: 1 })
  console.log('connected')
})
client.on('message', (topic, payload) => console.log(`command ${topic.split('/').at(-1)}: ${payload}`))
client.on('error', error => console.log(`refused: ${error.message}`))

setInterval(() => {
  if (client.connected)
    client.publish(`devices/${device}/temperature`, (18 + Math.random() * 6).toFixed(1), { qos: 1 })
}, 5_000)
