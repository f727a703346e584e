#!/usr/bin/env bash
# Node-RED 4.1.15, MQTT 5: a message that fits the filters of two nodes reaches neither.
#
# A good engineer expects: a server may send one copy with the Subscription Identifier of each subscription that it fits (MQTT 5 §3.3.4), so each
# *mqtt in* node whose filter fits is given the message, as in MQTT 3.1.1.
# What happens: Node-RED gives each filter an identifier of its own, and a node takes a message only if the identifier equals that of its filter. MQTT.js hands
# several of them on as an array, which equals none. So with one node at `site/#` and another at `site/alarm`, alarms are lost to both, without a
# warning, and everything else arrives. Behind mosquitto, which sends a copy for each subscription, the same flow works.
# Around it: a copy for each identifier, as Rollcall sends up to 8 (docs/adr/0046); for users MQTT 3.1.1, filters that do not overlap, or a server
# that says Subscription Identifier Available 0, which Node-RED heeds.
#
# Output seen (November 2026), for nodes at `site/#` and `site/alarm` of one broker node:
#   node-red 4.1.15, MQTT 5, one copy with both identifiers: site/other: site/#; site/alarm: nobody
#   node-red 4.1.15, MQTT 5, a copy for each identifier: site/other: site/#; site/alarm: site/#, site/alarm
#   node-red 4.1.15, MQTT 5, identifiers not available, one copy: site/other: site/#; site/alarm: site/#, site/alarm
#   node-red 4.1.15, MQTT 3.1.1, one copy: site/other: site/#; site/alarm: site/#, site/alarm
set -euo pipefail
folder=$(mktemp -d)
red=
trap '[ -z "$red" ] || kill "$red" 2>/dev/null || true; wait; rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true }' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts node-red@4.1.15 mqtt-packet@9.0.2 >/dev/null
cat >server.mjs <<'JS'
// A server that knows the filters of this finding. What Node-RED publishes to got/NODE about each message tells which nodes were given it.
import { renameSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import mqttPacket from 'mqtt-packet'

const [mode] = process.argv.slice(2)
const protocolVersion = mode === 'old' ? 4 : 5
const fits = { 'site/other': ['site/#'], 'site/alarm': ['site/#', 'site/alarm'] }
const got = { 'site/other': [], 'site/alarm': [] }
const identifiers = new Map()
const server = createServer(socket => {
  const parser = mqttPacket.parser({ protocolVersion })
  const say = packet => socket.write(mqttPacket.generate(packet, { protocolVersion }))
  function tell(topic) {
    const message = { cmd: 'publish', topic, payload: topic, qos: 0, dup: false, retain: false }
    const known = fits[topic].map(filter => identifiers.get(filter)).filter(identifier => identifier !== undefined)
    if (mode !== 'copies') return say({ ...message, ...(known.length && { properties: { subscriptionIdentifier: known } }) })
    for (const subscriptionIdentifier of known) say({ ...message, properties: { subscriptionIdentifier } })
  }
  async function play() {
    tell('site/other')
    tell('site/alarm')
    await delay(1_500) // some of it may never come, so it is not waited for
    const line = Object.entries(got).map(([topic, nodes]) => `${topic}: ${nodes.sort().join(', ') || 'nobody'}`)
    console.log(line.join('; '))
    process.exit(0)
  }
  parser.on('packet', packet => {
    const { cmd, messageId } = packet
    // Without any property Node-RED uses no identifiers; servers send some.
    const properties = { topicAliasMaximum: 10, ...(mode === 'unavailable' && { subscriptionIdentifiersAvailable: false }) }
    if (cmd === 'connect') say({ cmd: 'connack', reasonCode: 0, returnCode: 0, sessionPresent: false, properties })
    if (cmd === 'subscribe') {
      for (const { topic } of packet.subscriptions) identifiers.set(topic, packet.properties?.subscriptionIdentifier)
      say({ cmd: 'suback', messageId, granted: packet.subscriptions.map(() => 0) })
      if (identifiers.size === 2) void play()
    }
    if (cmd === 'publish') got[String(packet.payload)].push(packet.topic === 'got/all' ? 'site/#' : 'site/alarm')
  })
  socket.on('data', bytes => parser.parse(bytes))
  socket.on('error', () => {})
})
server.listen(0, '127.0.0.1', () => {
  writeFileSync('port.new', String(server.address().port))
  renameSync('port.new', 'port')
})
JS
cat >flow.mjs <<'JS'
import { writeFileSync } from 'node:fs'
const [port, protocolVersion] = process.argv.slice(2)
const common = { z: 'flow', broker: 'broker', qos: '0', x: 0, y: 0 }
const pair = (name, topic) => [
  { ...common, id: `in-${name}`, type: 'mqtt in', topic, datatype: 'utf8', inputs: 0, nl: false, rap: false, rh: 0, wires: [[`out-${name}`]] },
  { ...common, id: `out-${name}`, type: 'mqtt out', topic: `got/${name}`, retain: 'false', wires: [] },
]
const broker = {
  id: 'broker', type: 'mqtt-broker', broker: '127.0.0.1', port, clientid: 'red', protocolVersion, autoConnect: true, usetls: false,
  keepalive: '60', cleansession: true, autoUnsubscribe: true, birthTopic: '', closeTopic: '', willTopic: '',
}
writeFileSync('flow.json', JSON.stringify([{ id: 'flow', type: 'tab', label: 'flow' }, broker, ...pair('all', 'site/#'), ...pair('alarm', 'site/alarm')]))
JS
version=$(node -p "require('./node_modules/node-red/package.json').version")
try() { # WHAT MODE
  rm -f port answer
  node server.mjs "$2" >answer &
  local server=$!
  until [ -f port ]; do sleep 0.1; done
  node flow.mjs "$(cat port)" "$([ "$2" = old ] && echo 4 || echo 5)"
  mkdir "home-$2"
  node node_modules/node-red/red.js -u "$folder/home-$2" -p 0 -D uiHost=127.0.0.1 "$folder/flow.json" >"red-$2.log" 2>&1 &
  red=$!
  for _ in $(seq 400); do
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  kill "$red" "$server" 2>/dev/null || true
  wait "$red" 2>/dev/null || true
  red=
  echo "node-red $version, $1: $(cat answer)"
}
{
  try 'MQTT 5, one copy with both identifiers' one
  try 'MQTT 5, a copy for each identifier' copies
  try 'MQTT 5, identifiers not available, one copy' unavailable
  try 'MQTT 3.1.1, one copy' old
} >seen
cat seen
cat >expected <<'TEXT'
node-red 4.1.15, MQTT 5, one copy with both identifiers: site/other: site/#; site/alarm: nobody
node-red 4.1.15, MQTT 5, a copy for each identifier: site/other: site/#; site/alarm: site/#, site/alarm
node-red 4.1.15, MQTT 5, identifiers not available, one copy: site/other: site/#; site/alarm: site/#, site/alarm
node-red 4.1.15, MQTT 3.1.1, one copy: site/other: site/#; site/alarm: site/#, site/alarm
TEXT
diff expected seen
