#!/usr/bin/env bash
# mosquitto 2.0.11 and nats-server 2.9.10 (Debian 12), aedes 1.2.0: whether a will is sent when its client comes back before the old connection is missed.
#
# A good engineer expects: a will is sent at every end of a connection but DISCONNECT [MQTT-3.1.2-8]. A device that comes back by a new connection ends
# the old one, so in MQTT 3.1.1 its will is sent, by all brokers. In MQTT 5 a Will Delay that has not elapsed holds it back where the session goes on;
# where Clean Start ends the session, the will is sent at once (§3.1.2.5).
# What happens: aedes sends it. nats-server never does. mosquitto sends it for clean sessions and withholds it where the session is kept, in MQTT 5
# also without a Will Delay, and also where Clean Start ends the session that was to be kept. At a loss of the connection all three send it.
# A device on a bad line comes back so time and again. A dashboard that takes wills for "offline" is told so behind one broker and not behind another,
# and a device that is connected stays "offline" there: let devices retain "online" at each connect, not only at the first.
#
# Output seen (November 2026):
#                                            taken over by a new connection | connection lost
#   mosquitto 2.0.11, MQTT 3.1.1, clean:                               sent | sent
#   mosquitto 2.0.11, MQTT 3.1.1, kept:                                none | sent
#   mosquitto 2.0.11, MQTT 5, kept:                                    none | sent
#   mosquitto 2.0.11, MQTT 5, kept, delay 60 s, then Clean Start:      none
#   nats-server 2.9.10, MQTT 3.1.1, clean:                             none | sent
#   nats-server 2.9.10, MQTT 3.1.1, kept:                              none | sent
#   aedes 1.2.0, MQTT 3.1.1, clean:                                    sent | sent
#   aedes 1.2.0, MQTT 3.1.1, kept:                                     sent | sent
set -euo pipefail
PATH="$PATH:/usr/sbin"
folder=$(mktemp -d)
broker=
trap '[ -z "$broker" ] || kill "$broker"; rm -rf "$folder"' EXIT
cd "$folder"
# Debian's own packages: mosquitto, nats-server.
echo '{ "private": true, "type": "module" }' >package.json
npm install --silent --no-audit --no-fund mqtt@5.16.0 aedes@1.2.0 >/dev/null
cat >aedes.js <<'JS'
import { createServer } from 'node:net'
import { Aedes } from 'aedes'
const broker = await Aedes.createBroker()
createServer(broker.handle).listen(Number(process.argv[2]), '127.0.0.1')
JS
cat >try.js <<'JS'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import mqtt from 'mqtt'

const [name, port, ...versions] = process.argv.slice(2)
const connect = async (protocolVersion, more = {}) => {
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion, reconnectPeriod: 0, ...more })
  return client.on('error', () => {}) // MQTT 5: taken over
}
const observer = await connect(4, { clientId: 'observer' })
const wills = []
observer.on('message', topic => wills.push(topic))
await observer.subscribeAsync('wills/#', { qos: 1 })

async function play(protocolVersion, what, session, next = session) {
  const clientId = what.replace(/\W/g, '')
  const { will = {}, ...others } = session
  const topic = at => `wills/${protocolVersion}/${clientId}/${at}`
  const device = (at, { will: _, ...more }) =>
    connect(protocolVersion, { clientId, ...more, will: { topic: topic(at), payload: 'offline', qos: 1, ...will } })
  const first = await device('first', others)
  const closed = once(first, 'close')
  const second = await device('second', next)
  await closed
  await delay(1_500) // nothing may come, so it is not waited for
  const taken = wills.includes(topic('first')) ? 'sent' : 'none'
  let line = `${name}, MQTT ${protocolVersion === 5 ? '5' : '3.1.1'}, ${what}: ${taken}`
  if (next === session) {
    second.stream.destroy()
    await delay(1_500)
    line += ` | ${wills.includes(topic('second')) ? 'sent' : 'none'}`
  }
  console.log(line)
  await second.endAsync(true)
}

for (const version of versions.map(Number)) {
  const kept = version === 5 ? { clean: false, properties: { sessionExpiryInterval: 3600 } } : { clean: false }
  if (version === 4) await play(4, 'clean', { clean: true })
  await play(version, 'kept', kept)
  if (version !== 5) continue
  const delayed = { ...kept, will: { properties: { willDelayInterval: 60 } } }
  await play(5, 'kept, delay 60 s, then Clean Start', delayed, { ...kept, clean: true })
}
process.exit(0)
JS

port=
begin() { # PROGRAM…
  "$@" >broker.log 2>&1 &
  broker=$!
  for _ in $(seq 100); do
    (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
    sleep 0.1
  done
}
finish() {
  kill "$broker"
  wait "$broker" 2>/dev/null || true
  broker=
}
new_port() { port=$((20000 + RANDOM % 20000)); }
{
  new_port
  printf 'listener %s 127.0.0.1\nallow_anonymous true\n' "$port" >mosquitto.conf
  begin mosquitto -c mosquitto.conf
  node try.js "mosquitto $( (mosquitto -h || true) | sed -n 's/^mosquitto version //p')" "$port" 4 5
  finish
  new_port
  printf 'listen: "127.0.0.1:-1"\nserver_name: one\njetstream { store_dir: "%s/store" }\nmqtt { listen: "127.0.0.1:%s" }\n' "$folder" "$port" >nats.conf
  begin nats-server -c nats.conf
  node try.js "nats-server $(nats-server --version | sed 's/.*v//')" "$port" 4
  finish
  new_port
  begin node aedes.js "$port"
  node try.js "aedes $(node -p "require('./node_modules/aedes/package.json').version")" "$port" 4
  finish
} | tee seen
cat >expected <<'TEXT'
mosquitto 2.0.11, MQTT 3.1.1, clean: sent | sent
mosquitto 2.0.11, MQTT 3.1.1, kept: none | sent
mosquitto 2.0.11, MQTT 5, kept: none | sent
mosquitto 2.0.11, MQTT 5, kept, delay 60 s, then Clean Start: none
nats-server 2.9.10, MQTT 3.1.1, clean: none | sent
nats-server 2.9.10, MQTT 3.1.1, kept: none | sent
aedes 1.2.0, MQTT 3.1.1, clean: sent | sent
aedes 1.2.0, MQTT 3.1.1, kept: sent | sent
TEXT
diff expected seen
