#!/usr/bin/env bash
# MQTT.js 5.16.0: a message of QoS 2 whose topic came by alias is handed on with an empty topic, and PUBCOMP 0x92 is a publish that failed.
#
# A good engineer expects: an alias that was told stands for its topic at every QoS (MQTT 5 §3.3.2.3.4), so 'message' gives the topic.
# What happens: of QoS 0 and 1 it does. At QoS 2 the packet is kept as it came until PUBREL, and 'message' has the topic ''.
#
# A good engineer expects: PUBCOMP with 0x92, Packet Identifier not found, tells a client that sent PUBREL again, because the first PUBCOMP
# was lost, that nothing is left to release: the message arrived. "This is not an error during recovery" (§3.7.2.1).
# What happens: the publish is reported as failed, so an application that heeds it sends the message a second time.
#
# Output seen (November 2026):
#   mqtt 5.16.0: QoS 1, first by name, then by alias: a/b a/b
#   mqtt 5.16.0: QoS 2, first by name, then by alias: a/b (empty)
#   mqtt 5.16.0: PUBCOMP 0x92 to a PUBREL sent again: Publish error: Packet Identifier not found, at connection 2
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
import mqtt from 'mqtt'
import mqttPacket from 'mqtt-packet'

/** A server of MQTT 5 that lets everyone in, and answers what `react` says. */
async function serve(react) {
  let before = false
  const server = createServer(socket => {
    const parser = mqttPacket.parser({ protocolVersion: 5 })
    const say = packet => socket.write(mqttPacket.generate(packet, { protocolVersion: 5 }))
    parser.on('packet', packet => {
      if (packet.cmd === 'connect') say({ cmd: 'connack', reasonCode: 0, sessionPresent: before && !packet.clean })
      before = true
      react(packet, say, socket)
    })
    socket.on('data', bytes => parser.parse(bytes))
    socket.on('error', () => {})
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return server
}

const connect = (server, more = {}) =>
  mqtt.connectAsync(`mqtt://127.0.0.1:${server.address().port}`, { protocolVersion: 5, ...more })

/** The topics that a client is given of two messages, the second by its alias alone. */
async function topicsAt(qos) {
  const server = await serve((packet, say) => {
    const message = (messageId, topic) =>
      say({ cmd: 'publish', qos, messageId, topic, payload: 'x', retain: false, dup: false, properties: { topicAlias: 1 } })
    if (packet.cmd === 'subscribe') {
      say({ cmd: 'suback', messageId: packet.messageId, granted: [qos] })
      message(1, 'a/b')
      message(2, '')
    }
    if (packet.cmd === 'pubrec') say({ cmd: 'pubrel', messageId: packet.messageId, reasonCode: 0 })
  })
  const client = await connect(server, { properties: { topicAliasMaximum: 5 } })
  const topics = []
  const both = new Promise(resolve => {
    client.on('message', topic => {
      topics.push(topic === '' ? '(empty)' : topic)
      if (topics.length === 2) resolve()
    })
  })
  await client.subscribeAsync('a/#', { qos })
  await both
  await client.endAsync(true)
  server.close()
  return topics.join(' ')
}

/** How a publish of QoS 2 ends for the application whose first PUBCOMP was lost: the connection ends at PUBREL, the session goes on. */
async function endOfPublish() {
  let connections = 0
  const server = await serve((packet, say, socket) => {
    const { messageId } = packet
    if (packet.cmd === 'connect') connections += 1
    if (packet.cmd === 'publish') say({ cmd: 'pubrec', messageId, reasonCode: 0 })
    if (packet.cmd !== 'pubrel') return
    if (connections === 1) socket.end()
    else say({ cmd: 'pubcomp', messageId, reasonCode: 0x92 })
  })
  const kept = { clean: false, clientId: 'c', reconnectPeriod: 100, properties: { sessionExpiryInterval: 600 } }
  const client = await connect(server, kept)
  const end = await client.publishAsync('a/b', 'x', { qos: 2 }).then(
    () => 'published',
    error => error.message,
  )
  await client.endAsync(true)
  server.close()
  return `${end}, at connection ${connections}`
}

const { version } = JSON.parse(readFileSync('node_modules/mqtt/package.json', 'utf8'))
const say = (...words) => console.log(`mqtt ${version}:`, ...words)
say('QoS 1, first by name, then by alias:', await topicsAt(1))
say('QoS 2, first by name, then by alias:', await topicsAt(2))
say('PUBCOMP 0x92 to a PUBREL sent again:', await endOfPublish())
JS
timeout 60 node try.js | tee output
diff output - <<'SEEN'
mqtt 5.16.0: QoS 1, first by name, then by alias: a/b a/b
mqtt 5.16.0: QoS 2, first by name, then by alias: a/b (empty)
mqtt 5.16.0: PUBCOMP 0x92 to a PUBREL sent again: Publish error: Packet Identifier not found, at connection 2
SEEN
