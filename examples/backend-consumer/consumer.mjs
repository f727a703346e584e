// A backend: writes every device's readings to standard output as JSON lines. Usage: node consumer.mjs FOLDER DEVICE_ID
// Its session is kept (clean: false), so readings that arrive while it restarts wait for it; QoS 1, so none is lost on the way.
// The device must be in the group `backend`, whose policy lets it read all topics below devices/.
import { readFileSync } from 'node:fs'
import { connect } from 'mqtt'

const [folder, id] = process.argv.slice(2)
const { ROLLCALL_HOST: host = '127.0.0.1', ROLLCALL_PORT: port = '8883' } = process.env

const client = connect(`mqtts://${host}:${port}`, {
  clientId: id,
  clean: false,
  ca: readFileSync(`${folder}/ca.crt`),
  cert: readFileSync(`${folder}/device.crt`),
  key: readFileSync(`${folder}/device.key`),
  reconnectOnConnackError: true,
})
client.on('connect', ({ sessionPresent }) => {
  if (!sessionPresent) client.subscribe('devices/+/temperature', { qos: 1 })
  console.error(sessionPresent ? 'connected, the session was kept' : 'connected, a new session')
})
client.on('error', error => console.error(`refused: ${error.message}`))

// MQTT.js acknowledges a message when the callback is called: write first, then acknowledge.
client.handleMessage = ({ topic, payload }, acknowledge) => {
  const [, device, name] = topic.split('/')
  process.stdout.write(`${JSON.stringify({ device, [name]: Number(payload) })}\n`, acknowledge)
}
