#!/usr/bin/env bash
# mosquitto_pub 2.0.11 and Paho for Python 1.6.1 (Debian 12), MQTT 5: a publish that the server refuses counts as done.
#
# A good engineer expects: PUBACK and PUBREC carry a Reason Code in MQTT 5 (§3.4.2.1), so a client that used to lose refused messages in silence now fails:
# `mosquitto_pub && mark-as-sent` marks nothing, and Paho's `is_published()` is false or an error.
# What happens: mosquitto_pub warns on stderr and exits with 0. Paho says nothing at all: on_publish is called as ever, `is_published()` is true, `rc` is 0,
# `publish.single` returns; the Reason Code is handed to nobody. After a PUBREC that refused it sends PUBREL all the same, where the exchange is over (§4.3.3).
# mosquitto_sub likewise: with all filters refused it exits with 0, with one of two refused it goes on without a word.
# So in scripts look at stderr, and learn at the server which publishes were refused.
#
# Output seen (November 2026):
#   mosquitto_pub 2.0.11, QoS 1: Warning: Publish 1 failed: Not authorized. Exit 0
#   mosquitto_pub 2.0.11, QoS 2: Warning: Publish 1 failed: Not authorized. Exit 0
#   mosquitto_sub 2.0.11, its only filter refused: All subscription requests were denied. Exit 0
#   mosquitto_sub 2.0.11, one of two filters refused: message. Exit 0
#   Paho 1.6.1, QoS 1: rc 0, published True, on_publish called 1 time
#   Paho 1.6.1, QoS 2: rc 0, published True, on_publish called 1 time
#   Paho 1.6.1, publish.single: returned
#   PUBREL after a refusing PUBREC: 1, by Paho
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
# Debian's own packages: mosquitto-clients, python3-paho-mqtt.
echo '{ "private": true, "type": "module" }' >package.json
npm install --silent --no-audit --no-fund mqtt-packet@9.0.2 >/dev/null
cat >try.js <<'JS'
import { spawnSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import mqttPacket from 'mqtt-packet'

const refused = 0x87
let releases = 0
/** Lets everyone in, refuses every publish of QoS 1 and 2 and the filter `refused`, and publishes to each subscriber once. */
const server = createServer(socket => {
  const parser = mqttPacket.parser({ protocolVersion: 5 })
  const say = packet => socket.write(mqttPacket.generate(packet, { protocolVersion: 5 }))
  parser.on('packet', packet => {
    const { cmd, messageId } = packet
    if (cmd === 'connect') say({ cmd: 'connack', reasonCode: 0, sessionPresent: false })
    if (cmd === 'publish') say({ cmd: packet.qos === 1 ? 'puback' : 'pubrec', messageId, reasonCode: refused })
    if (cmd === 'pubrel') {
      releases++
      say({ cmd: 'pubcomp', messageId, reasonCode: 0x92 })
    }
    if (cmd !== 'subscribe') return
    const granted = packet.subscriptions.map(({ topic }) => (topic === 'refused' ? refused : 0))
    say({ cmd: 'suback', messageId, granted })
    if (granted.includes(0)) say({ cmd: 'publish', topic: 'open', payload: 'message', qos: 0, dup: false, retain: false })
  })
  socket.on('data', bytes => parser.parse(bytes))
  socket.on('error', () => {})
})
await once(server.listen(0, '127.0.0.1'), 'listening')
const port = server.address().port

/** What a program wrote to both outputs, and its exit code. */
async function run(program, ...args) {
  const child = spawn(program, args)
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', bytes => (output += bytes))
  const [code] = await once(child, 'close')
  return { output: output.trim(), text: `${output.trim()} Exit ${code}`.replace(/([^.]) Exit/, '$1. Exit') }
}

const to = ['-h', '127.0.0.1', '-p', port, '-V', 'mqttv5', '-q']
const version = spawnSync('mosquitto_pub', ['--version']).stdout.toString().match(/version ([\d.]+)/)[1]
for (const qos of [1, 2]) {
  const { text } = await run('mosquitto_pub', ...to, qos, '-t', 't', '-m', 'x')
  console.log(`mosquitto_pub ${version}, QoS ${qos}: ${text}`)
}
const byMosquitto = releases
const alone = await run('mosquitto_sub', ...to, 0, '-t', 'refused', '-W', 20)
console.log(`mosquitto_sub ${version}, its only filter refused: ${alone.text}`)
const half = await run('mosquitto_sub', ...to, 0, '-t', 'open', '-t', 'refused', '-C', 1, '-W', 20)
console.log(`mosquitto_sub ${version}, one of two filters refused: ${half.text}`)

const python = `
import paho.mqtt, paho.mqtt.client as mqtt, paho.mqtt.publish as publish
name = 'Paho ' + paho.mqtt.__version__
called = []
client = mqtt.Client(client_id='d', protocol=mqtt.MQTTv5)
client.on_publish = lambda *args: called.append(args)
client.connect('127.0.0.1', ${port})
client.loop_start()
for qos in (1, 2):
    called.clear()
    info = client.publish('t', 'x', qos)
    info.wait_for_publish(20)
    print(f'{name}, QoS {qos}: rc {info.rc}, published {info.is_published()}, on_publish called {len(called)} time')
client.disconnect()
client.loop_stop()
publish.single('t', 'x', qos=1, hostname='127.0.0.1', port=${port}, protocol=mqtt.MQTTv5)
print(f'{name}, publish.single: returned')
`
console.log((await run('/usr/bin/python3', '-c', python)).output)
console.log(`PUBREL after a refusing PUBREC: ${releases}, by ${byMosquitto ? 'mosquitto_pub, too' : 'Paho'}`)
process.exit(0)
JS
cat >expected <<'TEXT'
mosquitto_pub 2.0.11, QoS 1: Warning: Publish 1 failed: Not authorized. Exit 0
mosquitto_pub 2.0.11, QoS 2: Warning: Publish 1 failed: Not authorized. Exit 0
mosquitto_sub 2.0.11, its only filter refused: All subscription requests were denied. Exit 0
mosquitto_sub 2.0.11, one of two filters refused: message. Exit 0
Paho 1.6.1, QoS 1: rc 0, published True, on_publish called 1 time
Paho 1.6.1, QoS 2: rc 0, published True, on_publish called 1 time
Paho 1.6.1, publish.single: returned
PUBREL after a refusing PUBREC: 1, by Paho
TEXT
node try.js | tee seen
diff expected seen
