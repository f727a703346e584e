#!/usr/bin/env bash
# MQTT.js 5.16.0: one filter that the server refuses makes it forget the others of the same SUBSCRIBE, and after the next reconnect nothing comes.
#
# A good engineer expects: SUBACK has a code for each filter (MQTT 5 §3.9.3, MQTT 3.1.1 §3.9.3). What was granted is subscribed, and `resubscribe`, which
# is on by default, subscribes it again after each reconnect; only the refused filter is left out.
# What happens: `subscribe(['a', 'b'])` with b refused rejects as a whole, though messages of a arrive. All filters of that packet are taken off the list
# of those to be subscribed again, so that after a reconnect the client is connected and deaf.
# In MQTT 3.1.1 this needs no mistake of the application: what it subscribed to one by one is subscribed again in one packet. When the server takes one
# right away meanwhile, the reconnect loses the list without an error, and the reconnect after it subscribes to nothing.
# Around it: `resubscribe: false`, and subscribe in 'connect', each filter by a call of its own.
#
# Output seen (November 2026):
#   mqtt 5.16.0, MQTT 5: subscribe a and b: Subscribe error: Not authorized; messages of a: 1
#   mqtt 5.16.0, MQTT 5: SUBSCRIBE at connection 1: a+b, at connection 2: nothing; connected: true
#   mqtt 5.16.0, MQTT 3.1.1: SUBSCRIBE at connection 1: a, b, at connection 2: a+b, at connection 3: nothing; connected: true; errors: 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module" }' >package.json
npm install --silent --no-audit --no-fund mqtt@5.16.0 mqtt-packet@9.0.2 >/dev/null
cat >try.js <<'JS'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import mqtt from 'mqtt'
import mqttPacket from 'mqtt-packet'

/** A server that keeps no sessions, and grants the filters that `granted(filter, connection)` says. Notes the filters of each SUBSCRIBE by connection. */
async function serve(protocolVersion, granted) {
  const state = { noted: [], socket: undefined }
  state.server = createServer(socket => {
    const parser = mqttPacket.parser({ protocolVersion })
    const say = packet => socket.write(mqttPacket.generate(packet, { protocolVersion }))
    state.socket = socket
    parser.on('packet', packet => {
      if (packet.cmd === 'connect') {
        state.noted.push([])
        say({ cmd: 'connack', reasonCode: 0, returnCode: 0, sessionPresent: false })
      }
      if (packet.cmd !== 'subscribe') return
      const filters = packet.subscriptions.map(({ topic }) => topic)
      state.noted.at(-1).push(filters.join('+'))
      const refused = protocolVersion === 5 ? 0x87 : 0x80
      const codes = filters.map(filter => (granted(filter, state.noted.length) ? 0 : refused))
      say({ cmd: 'suback', messageId: packet.messageId, granted: codes })
      if (filters.includes('a')) say({ cmd: 'publish', topic: 'a', payload: 'x', qos: 0, dup: false, retain: false })
    })
    socket.on('data', bytes => parser.parse(bytes))
    socket.on('error', () => {})
  })
  await once(state.server.listen(0, '127.0.0.1'), 'listening')
  return state
}

/** Ends the connection, and waits until the client is back and has said what it says. */
async function interrupt(state, client) {
  const back = once(client, 'connect')
  state.socket.end()
  await back
  await delay(500)
}

const said = state =>
  state.noted.map((filters, at) => `at connection ${at + 1}: ${filters.join(', ') || 'nothing'}`).join(', ')
const connect = (state, protocolVersion) =>
  mqtt.connectAsync(`mqtt://127.0.0.1:${state.server.address().port}`, { protocolVersion, reconnectPeriod: 100 })
const { version } = JSON.parse(readFileSync('node_modules/mqtt/package.json', 'utf8'))
const lines = []

const five = await serve(5, filter => filter !== 'b')
const first = await connect(five, 5)
let messages = 0
first.on('message', () => messages++)
const outcome = await first.subscribeAsync(['a', 'b']).then(() => 'granted', error => error.message)
await delay(200)
lines.push(`MQTT 5: subscribe a and b: ${outcome}; messages of a: ${messages}`)
await interrupt(five, first)
lines.push(`MQTT 5: SUBSCRIBE ${said(five)}; connected: ${first.connected}`)

// The right to b is withdrawn after the first connection.
const four = await serve(4, (filter, connection) => filter !== 'b' || connection === 1)
const second = await connect(four, 4)
let errors = 0
second.on('error', () => errors++)
await second.subscribeAsync('a')
await second.subscribeAsync('b')
await interrupt(four, second)
await interrupt(four, second)
lines.push(`MQTT 3.1.1: SUBSCRIBE ${said(four)}; connected: ${second.connected}; errors: ${errors}`)
for (const line of lines) console.log(`mqtt ${version}, ${line}`)
process.exit(0)
JS
cat >expected <<'TEXT'
mqtt 5.16.0, MQTT 5: subscribe a and b: Subscribe error: Not authorized; messages of a: 1
mqtt 5.16.0, MQTT 5: SUBSCRIBE at connection 1: a+b, at connection 2: nothing; connected: true
mqtt 5.16.0, MQTT 3.1.1: SUBSCRIBE at connection 1: a, b, at connection 2: a+b, at connection 3: nothing; connected: true; errors: 0
TEXT
node try.js | tee seen
diff expected seen
