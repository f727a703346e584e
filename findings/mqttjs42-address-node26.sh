#!/usr/bin/env bash
# MQTT.js 4.2 on Node 26: a broker that is named by its IP address cannot be connected to over TLS, and connect() throws.
#
# A good engineer expects: an address connects as a host name does, and what fails is told by the client's 'error' event. AWS's
# aws-iot-device-sdk 2.2 and Azure's azure-iot-device-mqtt 1.16, their newest for MQTT 3.1.1, still bring MQTT.js 4.2.
# What happens: MQTT.js 4.2 gives tls.connect() the host as server name, whatever it is. Node 24 only warns (DEP0123: RFC 6066 permits no
# address there); Node 26 throws ERR_INVALID_ARG_VALUE, out of connect() itself, before there is a client to listen to. MQTT.js 5
# leaves the server name out for an address.
#
# Output seen (November 2026):
#   mqtt 4.2.8 on node 24.21.0: connected
#   mqtt 4.2.8 on node 26.10.0: connect() threw ERR_INVALID_ARG_VALUE
#   mqtt 5.16.0 on node 26.10.0: connected
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true }' >package.json
npm install --silent --no-audit --no-fund node24@npm:node@24.21.0 node26@npm:node@26.10.0 mqtt4@npm:mqtt@4.2.8 mqtt5@npm:mqtt@5.16.0 >/dev/null
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -days 30 -subj /CN=localhost \
  -addext subjectAltName=IP:127.0.0.1 2>/dev/null
cat >try.js <<'JS'
// A broker that answers CONNECT with CONNACK, and one client.
const { createServer } = require('node:tls')
const { readFileSync } = require('node:fs')
const mqtt = require(process.argv[2])
const say = words => {
  console.log(`mqtt ${require(`${process.argv[2]}/package.json`).version} on node ${process.versions.node}: ${words}`)
  process.exit(0)
}
const [cert, key] = [readFileSync('cert.pem'), readFileSync('key.pem')]
const server = createServer({ cert, key }, socket => socket.once('data', () => socket.write(Buffer.from([0x20, 2, 0, 0]))))
server.listen(0, '127.0.0.1', () => {
  try {
    const client = mqtt.connect(`mqtts://127.0.0.1:${server.address().port}`, { ca: cert, clientId: 'a', reconnectPeriod: 0 })
    client.on('connect', () => say('connected'))
    client.on('error', error => say(`error event ${error.code}`))
  } catch (error) {
    say(`connect() threw ${error.code}`)
  }
})
JS
before=$(node_modules/node24/bin/node --no-deprecation try.js mqtt4)
after=$(node_modules/node26/bin/node try.js mqtt4)
newer=$(node_modules/node26/bin/node try.js mqtt5)
printf '%s\n' "$before" "$after" "$newer"
[ "$before" = "mqtt 4.2.8 on node 24.21.0: connected" ] && [ "$after" = "mqtt 4.2.8 on node 26.10.0: connect() threw ERR_INVALID_ARG_VALUE" ] &&
  [ "$newer" = "mqtt 5.16.0 on node 26.10.0: connected" ]
