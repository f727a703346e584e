#!/usr/bin/env bash
# nats-server 2.9.10 (Debian 12) and @nats-io/transport-node 3.4.0: after max_payload was lowered by a reload, a publish takes the connection with it.
#
# A good engineer expects: the server tells its clients (INFO is sent anew when something changes), so that a publish that has become too large throws
# at the client, as it does where the limit stood from the beginning.
# What happens: nobody is told; `info.max_payload` stays what it was. The publish does not throw, and the server ends the connection: what was published just
# after it is lost as well, without an error of those publishes, and all subscriptions of the process are deaf until it is back. Only then is the new
# limit known, and the next such publish throws.
# So one large message among many is an outage of the whole process until it is back. Lower the limit by a restart of each server, or lame duck mode; raising it
# by a reload has the other face: a client that was connected before refuses what the server would take.
#
# Output seen (November 2026):
#   nats-server 2.9.10, @nats-io/transport-node 3.4.0
#   lowered to 1,000 by SIGHUP: the client believes 1048576
#   small, 2,000 octets, small in one turn: no error; received 1 of 3; status: error, disconnect, reconnect
#   after the reconnect: the client believes 1000; 2,000 octets: 'payload' max_payload size exceeded
#   raised to 5,000 by SIGHUP: the client believes 1000; 2,000 octets: 'payload' max_payload size exceeded
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
# Debian's own package: nats-server.
echo '{ "private": true, "type": "module" }' >package.json
npm install --silent --no-audit --no-fund @nats-io/transport-node@3.4.0 >/dev/null
port=$((20000 + RANDOM % 20000))
printf 'listen: "127.0.0.1:%s"\nmax_payload: 1048576\n' "$port" >nats.conf
nats-server -c nats.conf >nats.log 2>&1 &
server=$!
for _ in $(seq 100); do
  (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
  sleep 0.1
done
cat >try.js <<'JS'
import { readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { connect } from '@nats-io/transport-node'

const [port, pid] = process.argv.slice(2).map(Number)
const client = await connect({ servers: `127.0.0.1:${port}`, reconnectTimeWait: 200, reconnectJitter: 0, maxReconnectAttempts: -1 })
const observer = await connect({ servers: `127.0.0.1:${port}` })
const told = []
;(async () => {
  for await (const { type } of client.status()) if (['error', 'disconnect', 'reconnect'].includes(type)) told.push(type)
})()
let received = 0
observer.subscribe('t', { callback: () => received++ })
await observer.flush()

async function reload(limit) {
  const reloads = () => readFileSync('nats.log', 'utf8').split('Reloaded server configuration').length
  const before = reloads()
  writeFileSync('nats.conf', `listen: "127.0.0.1:${port}"\nmax_payload: ${limit}\n`)
  process.kill(pid, 'SIGHUP')
  while (reloads() === before) await delay(50)
  await delay(500) // for an INFO that may follow
}
function publish(...sizes) {
  try {
    for (const size of sizes) client.publish('t', new Uint8Array(size))
    return 'no error'
  } catch ({ message }) {
    return message
  }
}
const believes = () => `the client believes ${client.info?.max_payload}`

const version = JSON.parse(readFileSync('node_modules/@nats-io/transport-node/package.json', 'utf8')).version
console.log(`nats-server ${client.info.version}, @nats-io/transport-node ${version}`)
await reload(1_000)
console.log(`lowered to 1,000 by SIGHUP: ${believes()}`)
const outcome = publish(10, 2_000, 10)
while (!told.includes('reconnect')) await delay(50)
await client.flush()
await observer.flush()
console.log(`small, 2,000 octets, small in one turn: ${outcome}; received ${received} of 3; status: ${told.join(', ')}`)
console.log(`after the reconnect: ${believes()}; 2,000 octets: ${publish(2_000)}`)
await reload(5_000)
console.log(`raised to 5,000 by SIGHUP: ${believes()}; 2,000 octets: ${publish(2_000)}`)
process.exit(0)
JS
timeout 60 node try.js "$port" "$server" | tee seen
cat >expected <<'TEXT'
nats-server 2.9.10, @nats-io/transport-node 3.4.0
lowered to 1,000 by SIGHUP: the client believes 1048576
small, 2,000 octets, small in one turn: no error; received 1 of 3; status: error, disconnect, reconnect
after the reconnect: the client believes 1000; 2,000 octets: 'payload' max_payload size exceeded
raised to 5,000 by SIGHUP: the client believes 1000; 2,000 octets: 'payload' max_payload size exceeded
TEXT
diff expected seen
