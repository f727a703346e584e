#!/usr/bin/env bash
# nats.js 3.4.0: what is published while the connection is down is accepted and thrown away, and takes memory without a bound meanwhile.
#
# A good engineer expects: NATS clients buffer while they reconnect and send it all once they are back; NATS documents that, with a size
# (8 MB in the Go client), beyond which publish() fails.
# What happens: the client for JavaScript puts each message into its outbound buffer, which has no bound, throws nothing and reports nothing. Each
# attempt to reconnect empties that buffer before it dials. A client that is back has sent none of it; its own subscription, which it does restore, hears
# nothing. flush() is rejected, so only an application that flushes learns of it. Between two attempts memory grows as fast as the application publishes.
# Around it: follow `status()` and neither publish nor count anything as sent between 'disconnect' and 'reconnect'; what must arrive is written elsewhere
# first.
#
# Output seen (November 2026, nats-server 2.9.10):
#   @nats-io/transport-node 3.4.0: 100000 of 1 kB published while away: 0 refused, more than 80 MB of memory: yes
#   back on 'reconnect': 0 heard by its own subscription, 0 counted by the server, a message published then: heard
# Needs nats-server (Debian: apt-get install nats-server) and curl.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module" }' >package.json
npm install --silent --no-audit --no-fund @nats-io/transport-node@3.4.0 >/dev/null
nats-server --version

cat >try.js <<'JS'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { setImmediate, setTimeout } from 'node:timers/promises'
import { connect } from '@nats-io/transport-node'

const MESSAGES = 100_000

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  await new Promise(resolve => server.close(resolve))
  return port
}
const [port, monitor] = [await freePort(), await freePort()]
const start = () => spawn('nats-server', ['-a', '127.0.0.1', '-p', String(port), '-m', String(monitor)], { stdio: 'ignore' })

let server = start()
const options = { servers: `nats://127.0.0.1:${port}`, waitOnFirstConnect: true, maxReconnectAttempts: -1, reconnectTimeWait: 2_000 }
const client = await connect(options)
const states = []
;(async () => {
  for await (const { type } of client.status()) states.push(type)
})()
const until = async state => {
  while (!states.includes(state)) await setTimeout(20)
}
let heard = 0
client.subscribe('a.>', { callback: () => heard++ })
await client.flush()

server.kill('SIGKILL')
await until('disconnect')
const before = process.memoryUsage().rss
let refused = 0
for (let n = 0; n < MESSAGES; n++) {
  try {
    client.publish('a.b', 'x'.repeat(1_000))
  } catch {
    refused++
  }
  if (n % 1_000 === 0) await setImmediate()
}
const grown = (process.memoryUsage().rss - before) / 1e6
console.log(
  `@nats-io/transport-node 3.4.0: ${MESSAGES} of 1 kB published while away: ${refused} refused, more than 80 MB of memory: ${grown > 80 ? 'yes' : 'no'}`,
)
server = start()
await until('reconnect')
await client.flush()
const first = heard
const { in_msgs: counted } = await (await fetch(`http://127.0.0.1:${monitor}/varz`)).json()
client.publish('a.b', 'now')
await client.flush()
console.log(
  `back on 'reconnect': ${first} heard by its own subscription, ${counted} counted by the server, a message published then: ${heard === first + 1 ? 'heard' : 'not heard'}`,
)
await client.close()
server.kill()
JS
node try.js | tee seen.txt
grep -q ': 0 refused, more than 80 MB of memory: yes$' seen.txt
grep -q "0 heard by its own subscription, 0 counted by the server, a message published then: heard$" seen.txt
