// Run in a network namespace of its own: a broker and its clients on a loopback that loses packets, is slow, resets connections or
// is cut in two. Prints what came of it as JSON.
import { execFileSync } from 'node:child_process'
import { readdirSync, readlinkSync } from 'node:fs'
import mqtt, { type MqttClient } from 'mqtt'
import { until } from '../cli/running.ts'
import { forkBroker } from '../harness/fork.ts'
import { createRoll } from '../harness/roll.ts'
import { startTraffic } from './traffic.ts'

const [kind = '', seconds = '5'] = process.argv.slice(2)
const durationMs = Number(seconds) * 1_000
const KEEPALIVE_S = 4
const DEVICE = '127.0.0.2'

const run = (command: string) => {
  const [program = '', ...args] = command.split(' ')
  execFileSync(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
}
run('ip link set lo up mtu 1500')

const roll = await createRoll()
const broker = await forkBroker(roll, { settings: { offlineMessagesMax: 1_000_000 } })
const ca = roll.root.certificate
const sender = { id: 'sender', ca, ...(await roll.enroll('sender')) }
const receiver = { id: 'receiver', ca, ...(await roll.enroll('receiver', { groups: ['backend'] })) }
const sockets = () =>
  readdirSync(`/proc/${broker.pid}/fd`).filter(fd => linkOf(fd)?.startsWith('socket:') === true).length

const result = kind === 'split' ? await split() : await traffic()
process.stdout.write(`${JSON.stringify(result)}\n`)
await broker.close()
await roll.close()
process.exit(0)

/** Closed while it was looked at: null. */
function linkOf(descriptor: string): string | null {
  try {
    return readlinkSync(`/proc/${broker.pid}/fd/${descriptor}`)
  } catch {
    return null
  }
}

/** QoS 1 and 2 while the network is bad, until it is well again, and until all of it has arrived then. */
async function traffic() {
  const before = sockets()
  const under = await startTraffic(broker.port, sender, receiver)
  spoil()
  await new Promise(resolve => setTimeout(resolve, durationMs))
  // A few packets lost in a row stop TCP for seconds, so time alone says nothing about how far it came.
  await until(() => under.acknowledged() > 10, 'messages are acknowledged on a bad network', 60_000)
  const meanwhile = under.acknowledged()
  mend()
  const began = performance.now()
  const { acknowledged, again } = await under.settle(60_000)
  await under.end()
  await until(() => sockets() <= before, 'no connection is left', 60_000)
  return { acknowledged, again, meanwhile, recoveryMs: Math.round(performance.now() - began) }
}

function spoil(): void {
  if (kind === 'loss') run('iptables -A INPUT -m statistic --mode random --probability 0.1 -j DROP')
  if (kind === 'slow') run('tc qdisc add dev lo root tbf rate 1mbit burst 4kb latency 400ms')
  if (kind === 'resets')
    run(
      `iptables -A INPUT -p tcp --dport ${broker.port} -m statistic --mode random --probability 0.01 -j REJECT --reject-with tcp-reset`,
    )
}

function mend(): void {
  if (kind === 'slow') run('tc qdisc del dev lo root')
  else run('iptables -F INPUT')
}

/** A device behind a network that is cut: when the broker gives it up, and how often its will is sent. */
async function split() {
  const wills: number[] = []
  const come = (identity: typeof sender, more: object) =>
    mqtt.connectAsync(`mqtts://127.0.0.1:${broker.port}`, {
      ...{
        clientId: identity.id,
        cert: identity.certificate,
        key: identity.key,
        ca,
        servername: 'localhost',
      },
      ...more,
    })
  const watcher = await come(receiver, {})
  await watcher.subscribeAsync('devices/sender/will', { qos: 1 })
  watcher.on('message', () => wills.push(performance.now()))
  const will = { topic: 'devices/sender/will', payload: Buffer.from('gone'), qos: 1, retain: false }
  const device: MqttClient = await come(sender, {
    ...{ localAddress: DEVICE, keepalive: KEEPALIVE_S, will, clean: false, reconnectPeriod: 500 },
  })
  device.on('error', () => {})
  run(`iptables -A INPUT -s ${DEVICE} -j DROP`)
  run(`iptables -A INPUT -d ${DEVICE} -j DROP`)
  const cut = performance.now()
  await until(() => wills.length > 0, 'the will is sent', 60_000)
  await new Promise(resolve => setTimeout(resolve, Math.max(0, durationMs - (performance.now() - cut))))
  run('iptables -F INPUT')
  const healed = performance.now()
  await until(() => device.connected, 'it is back', 60_000)
  const backMs = Math.round(performance.now() - healed)
  await watcher.publishAsync('devices/sender/will', 'last', { qos: 1 })
  await until(() => wills.length > 1, 'nothing is on its way any more')
  await Promise.all([device.endAsync(true), watcher.endAsync(true)])
  const foundMs = Math.round((wills[0] ?? 0) - cut)
  return { keepaliveMs: KEEPALIVE_S * 1_000, foundMs, wills: wills.length - 1, backMs }
}
