#!/usr/bin/env bash
# aedes 1.2.0 on Node 26: MQTT.js cannot connect over WebSocket, and nobody is told why.
#
# A good engineer expects: a broker that runs on Node 24 runs on Node 26, the next LTS.
# What happens: since Node 26 `readable.read()` returns one chunk instead of all that is buffered, and 'readable' is not emitted again
# for the chunks that are left. aedes reads once for each 'readable'. MQTT.js sends a packet as several WebSocket frames, which arrive
# together: aedes parses the first octets of CONNECT and waits. Any Duplex that pushes twice in one turn is concerned (WebSocket streams,
# multiplexers, pipes of one's own); a plain TCP or TLS socket pushes once a turn and works, which hides the fault.
# The usual loop, `while ((chunk = stream.read()) !== null)`, is not concerned.
# Around it: give aedes a stream whose read() without a size asks for `readableLength`.
#
# Output seen (November 2026):
#   node v24.21.0 aedes 1.2.0 ws 8.23.0 mqtt 5.16.0: connected and acknowledged over WebSocket within 5 s: yes
#   node v26.10.0 aedes 1.2.0 ws 8.23.0 mqtt 5.16.0: connected and acknowledged over WebSocket within 5 s: no
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >package.json <<'JSON'
{ "private": true, "type": "module" }
JSON
npm install --silent --no-audit --no-fund aedes@1.2.0 mqtt@5.16.0 ws@8.23.0 >/dev/null
for version in 24.21.0 26.10.0; do
  mkdir "node-$version"
  (cd "node-$version" && echo '{"private":true}' >package.json && npm install --silent --no-audit --no-fund "node@$version" >/dev/null)
done

cat >try.js <<'JS'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { Aedes } from 'aedes'
import mqtt from 'mqtt'
import { createWebSocketStream, WebSocketServer } from 'ws'

const version = name => JSON.parse(readFileSync(`node_modules/${name}/package.json`, 'utf8')).version
const broker = await Aedes.createBroker()
const server = createServer().listen(0, '127.0.0.1')
new WebSocketServer({ server }).on('connection', socket => broker.handle(createWebSocketStream(socket)))
await new Promise(resolve => server.once('listening', resolve))
const client = mqtt.connect(`ws://127.0.0.1:${server.address().port}`, { reconnectPeriod: 0 })
const outcome = await Promise.race([
  new Promise(resolve => client.once('connect', resolve)).then(() => client.publishAsync('a', 'b', { qos: 1 })).then(() => 'yes'),
  new Promise(resolve => setTimeout(resolve, 5_000, 'no')),
])
const versions = ['aedes', 'ws', 'mqtt'].map(name => `${name} ${version(name)}`).join(' ')
console.log(`node ${process.version} ${versions}: connected and acknowledged over WebSocket within 5 s: ${outcome}`)
process.exit(0)
JS
./node-24.21.0/node_modules/.bin/node try.js | tee 24.txt
./node-26.10.0/node_modules/.bin/node try.js | tee 26.txt
grep -q ': yes$' 24.txt && grep -q ': no$' 26.txt
