#!/usr/bin/env bash
# MQTT.js 5.16.0: one refused CONNECT ends the client for good, whatever `reconnectPeriod` says. 5.15.2 came back.
#
# A good engineer expects: `reconnectPeriod` (by default 1,000 ms) is the time to the next attempt, so "Server busy" or "Server unavailable", by which a server
# asks for patience (MQTT 5 §3.2.2.2), costs a second; and a minor release keeps that.
# What happens: 5.16.0 emits 'error' and 'close' and tries no more, unless `reconnectOnConnackError` is set. That option and its default are in the older manual, too, but
# before, the closed connection brought the client back all the same. 'end' is not emitted. A later publish is queued without an error, and its callback is
# never called. A program that does nothing else ends with exit code 0, which a supervisor that restarts after failures leaves alone; one that does
# has a client that looks as if it were about to return. The update of a fleet's gateways does harm when the server is busy for the first time.
# Around it: `reconnectOnConnackError: true` with 5.16, and a server that waits or closes where it is only busy.
#
# Output seen (November 2026): the server refuses the first CONNECT with the code named, and takes every later one
#   mqtt 5.15.2, MQTT 5 Server busy: 2 CONNECT; published: yes
#   mqtt 5.15.2, MQTT 3.1.1 Server unavailable: 2 CONNECT; published: yes
#   mqtt 5.16.0, MQTT 5 Server busy: 1 CONNECT; published: neither yes nor no; end: no; exit code of the process: 0
#   mqtt 5.16.0, MQTT 3.1.1 Server unavailable: 1 CONNECT; published: neither yes nor no; end: no; exit code of the process: 0
#   mqtt 5.16.0, reconnectOnConnackError, MQTT 5 Server busy: 2 CONNECT; published: yes
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for version in 5.15.2 5.16.0; do
  mkdir "mqtt-$version"
  (cd "mqtt-$version" && echo '{ "private": true, "type": "module" }' >package.json &&
    npm install --silent --no-audit --no-fund "mqtt@$version" >/dev/null)
done
cat >client.js <<'JS'
// Connects, and publishes 2 s after the refusal. Says what came of it when the process is about to end, by itself or at the end of the trial.
import mqtt from 'mqtt'
const [port, protocolVersion, more] = process.argv.slice(2)
const client = mqtt.connect(`mqtt://127.0.0.1:${port}`, { protocolVersion: Number(protocolVersion), reconnectPeriod: 1_000, ...JSON.parse(more) })
let published = 'neither yes nor no'
let ended = 'no'
client.on('end', () => (ended = 'yes'))
client.once('error', () => {
  setTimeout(() => {
    client.publish('a', 'b', { qos: 1 }, error => {
      published = error ? `no, ${error.message}` : 'yes'
      client.end()
    })
  }, 2_000)
})
process.once('exit', () => console.log(`published: ${published}${published === 'yes' ? '' : `; end: ${ended}`}`))
JS
cat >try.js <<'JS'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import mqttPacket from 'mqtt-packet'

async function play(what, protocolVersion, code, more = {}) {
  let connects = 0
  const server = createServer(socket => {
    const parser = mqttPacket.parser({ protocolVersion })
    const say = packet => mqttPacket.generate(packet, { protocolVersion })
    parser.on('packet', ({ cmd, messageId }) => {
      if (cmd === 'connect') {
        const refused = ++connects === 1
        const answer = say({ cmd: 'connack', reasonCode: refused ? code : 0, returnCode: refused ? code : 0, sessionPresent: false })
        if (refused) socket.end(answer)
        else socket.write(answer)
      }
      if (cmd === 'publish') socket.write(say({ cmd: 'puback', messageId, reasonCode: 0 }))
    })
    socket.on('data', bytes => parser.parse(bytes))
    socket.on('error', () => {})
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const client = spawn(process.execPath, ['client.js', server.address().port, protocolVersion, JSON.stringify(more)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  client.stdout.on('data', bytes => (output += bytes))
  const [exit] = await once(client, 'close')
  await delay(100)
  server.close()
  const name = process.cwd().split('/').at(-1).replace('-', ' ')
  const options = Object.keys(more).map(option => `${option}, `).join('')
  const tail = output.startsWith('published: yes') ? '' : `; exit code of the process: ${exit}`
  console.log(`${name}, ${options}${what}: ${connects} CONNECT; ${output.trim()}${tail}`)
}

await play('MQTT 5 Server busy', 5, 0x89)
await play('MQTT 3.1.1 Server unavailable', 4, 3)
if (process.argv[2] === 'option') await play('MQTT 5 Server busy', 5, 0x89, { reconnectOnConnackError: true })
JS
for version in 5.15.2 5.16.0; do
  cp client.js try.js "mqtt-$version"
  (cd "mqtt-$version" && timeout 60 node try.js "$([ $version = 5.16.0 ] && echo option)")
done | tee seen
cat >expected <<'TEXT'
mqtt 5.15.2, MQTT 5 Server busy: 2 CONNECT; published: yes
mqtt 5.15.2, MQTT 3.1.1 Server unavailable: 2 CONNECT; published: yes
mqtt 5.16.0, MQTT 5 Server busy: 1 CONNECT; published: neither yes nor no; end: no; exit code of the process: 0
mqtt 5.16.0, MQTT 3.1.1 Server unavailable: 1 CONNECT; published: neither yes nor no; end: no; exit code of the process: 0
mqtt 5.16.0, reconnectOnConnackError, MQTT 5 Server busy: 2 CONNECT; published: yes
TEXT
diff expected seen
