// What /metrics says of a running system, with a gate of its own process: it is true, and nobody outside can make more of it.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { connect as connectTcp } from 'node:net'
import { after, before, test } from 'node:test'
import { temporaryDirectory, until } from '../cli/running.ts'
import { connectPacket } from '../harness/broker.ts'
import { readExposition, seriesOf } from '../harness/exposition.ts'
import { publishPacket, subscribePacket } from '../harness/raw-client.ts'
import { type Device, enroll, openTls } from './devices.ts'
import { start } from './mosquitto.ts'
import { anyPorts, type System, startSystem } from './system.ts'

let folder: ReturnType<typeof temporaryDirectory>
let system: System
let devices: Device[]

before(async () => {
  folder = temporaryDirectory()
  system = await startSystem(folder.path, { flags: [...anyPorts, '--gates', '1'] })
  devices = [await enroll(system.api, folder.path, 'd1'), await enroll(system.api, folder.path, 'd2')]
})
after(async () => {
  await system[Symbol.asyncDispose]()
  folder[Symbol.dispose]()
})

async function scrape() {
  const { status, text } = await system.admin('/metrics')
  assert.equal(status, 200)
  return readExposition(text)
}
const series = async () => new Set((await scrape()).samples.map(seriesOf))

test('a message, a revocation and an enrollment are seen in each process they passed', async () => {
  const [one] = devices
  assert.equal((await publish(one!, 'devices/d1/x').ended).code, 0)
  await system.ask('certificate', 'revoke', devices[1]!.fingerprint)
  await until(
    async () => (await system.metric('rollcall_change_feed_unacknowledged')) === 0,
    'it is acted on',
  )
  await until(
    async () => (await system.metric('rollcall_process_cpu_seconds_total{process="gate-1"}')) > 0,
    'a gate tells',
  )
  for (const [sample, least] of [
    ['rollcall_admissions_total', 1],
    ['rollcall_handshake_seconds_count', 1],
    ['rollcall_admission_seconds_count', 1],
    ['rollcall_routing_seconds_count', 1],
    ['rollcall_publish_acknowledgement_seconds_count', 1],
    ['rollcall_change_feed_lag_seconds_count', 1],
    ['rollcall_cut_seconds_count', 1],
    ['rollcall_change_feed_epoch', 1],
    ['rollcall_brokers', 1],
    ['rollcall_issuing_seconds_count', 2],
    ['rollcall_registry_bytes', 4096],
    ['rollcall_data_free_bytes', 1],
    ['rollcall_server_certificate_not_after_seconds', Date.now() / 1000],
    ['rollcall_process_resident_bytes{process="broker"}', 1e7],
    ['rollcall_process_resident_bytes{process="provisioning"}', 1e7],
    ['rollcall_process_resident_bytes{process="gate-1"}', 1e7],
    ['rollcall_event_loop_busy_seconds_total{process="gate-1"}', 0.001],
  ] as const)
    assert.ok((await system.metric(sample)) >= least, sample)
  const epochs = [
    await system.metric('rollcall_change_feed_epoch'),
    await system.metric('rollcall_change_feed_latest_epoch'),
  ]
  assert.equal(epochs[0], epochs[1])
})

test('hostile traffic makes no more series than it made when it first came', async () => {
  await hostile(1)
  const first = await series()
  await hostile(3)
  const second = await series()
  assert.deepEqual(
    [...second].filter(name => !first.has(name)),
    [],
  )
  assert.ok(first.size < 1_500, `${first.size} series`)
  for (const name of second) assert.doesNotMatch(name, /hostile|\bd1\b|[0-9a-f]{32}/)
})

const publish = ({ id, files }: Device, topic: string) =>
  start('mosquitto_pub', [
    ...['-h', 'localhost', '-p', String(system.mqttsPort), '-i', id, '-q', '1', '-t', topic, '-m', 'x'],
    ...['--cafile', files.ca, '--cert', files.certificate, '--key', files.key],
  ])

/** Strangers, refused devices, forbidden topics and bad requests, each with names that never came before. */
async function hostile(rounds: number): Promise<void> {
  const [admitted, revoked] = devices as [Device, Device]
  for (let round = 0; round < rounds; round += 1) {
    const name = `hostile-${randomUUID()}`
    const closed = [
      sent(null, connectPacket({ clientId: name })),
      sent(revoked, connectPacket({ clientId: name })),
      sent(admitted, connectPacket({ clientId: name })),
      sent(admitted, connectPacket({ clientId: 'd1', will: { topic: name } })),
      sent(admitted, Buffer.from('GET /mqtt HTTP/1.1\r\n\r\n')),
      notTls(name),
    ]
    await Promise.all(closed)
    await sent(
      admitted,
      Buffer.concat([
        connectPacket({ clientId: 'd1' }),
        subscribePacket(1, [`${name}/#`]),
        publishPacket(name, Buffer.from('x')),
      ]),
    )
    for (const method of ['GET', 'DELETE', 'PROPFIND', 'SEARCH', 'M-SEARCH'])
      await system.api.call(method, `/v1/${name}?${name}=1`)
    await system.api.call('GET', `/v1/devices/${name}`)
    await system.api.call('POST', '/v1/devices', { id: name, role: 'admin' })
    await system.api.call('POST', '/v1/devices/d1/certificates', { csr: name })
    await fetch(`${system.ready.admin}/${name}`)
  }
}

/** Resolves when the broker has closed. */
async function sent(credentials: Device | null, bytes: Buffer): Promise<void> {
  const socket = await openTls(system.mqttsPort, credentials)
  socket.on('error', () => {})
  const closed = new Promise(resolve => socket.once('close', resolve))
  socket.resume()
  socket.write(bytes)
  await closed
}

async function notTls(text: string): Promise<void> {
  const socket = connectTcp(system.mqttsPort, '127.0.0.1', () => socket.write(text))
  socket.on('error', () => {})
  await new Promise(resolve => socket.resume().once('close', resolve))
}
