// A day in the life of a fleet, squeezed: devices come and go, renew and are revoked, messages of all QoS, queues that fill and
// drain, policies that change. Everything that is seen is what must be seen, or it throws.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import mqtt from 'mqtt'
import { makeKey, makeRequest } from '../../cli/enrollment/key-pair.ts'
import { createSelfClient } from '../../client/self.ts'
import { until } from '../../test/cli/running.ts'
import {
  type Credentials,
  type Device,
  enroll,
  enrollMany,
  knock,
  openTls,
  stay,
} from '../../test/e2e/devices.ts'
import type { System } from '../../test/e2e/system.ts'
import { startTraffic } from '../../test/fault/traffic.ts'
import { connectPacket, firstBytes } from '../../test/harness/broker.ts'
import { publishPacket } from '../../test/harness/raw-client.ts'

export type Counts = Record<
  'visits' | 'messages' | 'queued' | 'renewals' | 'revocations' | 'policyChanges',
  number
>

const COMERS = 40
const QUEUED_AT_ONCE = 100
const DISCONNECT = Buffer.from([0xe0, 0])

/** Lives until told to stop; then nothing is on its way any more. Throws where something was lost or wrongly let in. */
export async function live(
  system: System,
  directory: string,
  counts: Counts,
  signal: AbortSignal,
): Promise<void> {
  const ids = Array.from({ length: COMERS }, (_, index) => `comer-${index}`)
  const devices = await enrollMany(system, directory, [...ids, 'sender', 'away', 'renewing'])
  const comers = devices.slice(0, COMERS)
  const [sender, away, renewing] = devices.slice(COMERS) as [Device, Device, Device]
  const receiver = await enroll(system.api, directory, 'receiver', { groups: ['backend'] })
  const backend = await enroll(system.api, directory, 'backend', { groups: ['backend'] })

  const failed = new AbortController()
  const over = AbortSignal.any([signal, failed.signal])
  const again = async (everyMs: number, work: (turn: number) => Promise<void>) => {
    for (let turn = 1; !over.aborted; turn += 1) {
      await work(turn)
      await pause(everyMs, over)
    }
  }
  const works = [
    again(20, turn => comeAndGo(system, comers[turn % COMERS]!, counts)),
    again(20, turn => comeAndGo(system, comers[(turn + COMERS / 2) % COMERS]!, counts)),
    steadily(system, sender, receiver, counts, over),
    fillAndDrain(system, away, backend, counts, over),
    renewOften(system, renewing, counts, again),
    again(500, turn => revokeOne(system, directory, `passing-${turn}`, counts)),
    again(1_000, turn => changePolicy(system, turn, counts)),
  ]
  for (const work of works) work.catch(() => failed.abort())
  await Promise.all(works)
}

async function comeAndGo(system: System, device: Device, counts: Counts): Promise<void> {
  const socket = await openTls(system.mqttsPort, device)
  socket.write(connectPacket({ clientId: device.id }))
  assert.equal((await firstBytes(socket))?.[3], 0, `${device.id} is admitted`)
  for (let message = 0; message < 3; message += 1)
    socket.write(publishPacket(`devices/${device.id}/up`, 'x'.repeat(200)))
  socket.resume()
  await new Promise<void>(resolve => {
    socket.once('close', () => resolve())
    socket.end(DISCONNECT)
  })
  counts.visits += 1
  counts.messages += 3
}

async function steadily(system: System, from: Device, to: Device, counts: Counts, over: AbortSignal) {
  const traffic = await startTraffic(system.mqttsPort, from, to, { inFlight: 2, everyMs: 10 })
  while (!over.aborted) await pause(500, over)
  counts.messages += (await traffic.settle()).acknowledged
  await traffic.end()
}

/** Messages wait for a device that is away, and it gets every one when it comes. */
async function fillAndDrain(
  system: System,
  away: Device,
  backend: Device,
  counts: Counts,
  over: AbortSignal,
) {
  const topic = `devices/${away.id}/commands`
  const publisher = await mqtt.connectAsync(system.ready.mqtts, optionsOf(backend, true))
  while (!over.aborted) {
    const wanted = new Set<string>()
    const device = mqtt.connect(system.ready.mqtts, optionsOf(away, false))
    const seen = new Set<string>()
    device.on('message', (_topic, payload) => void seen.add(String(payload)))
    await device.subscribeAsync(topic, { qos: 2 })
    await device.endAsync()
    for (let number = 0; number < QUEUED_AT_ONCE; number += 1) {
      const payload = `${Date.now()}-${number}`
      await publisher.publishAsync(topic, payload, { qos: number % 2 === 0 ? 1 : 2 })
      wanted.add(payload)
    }
    const back = mqtt.connect(system.ready.mqtts, optionsOf(away, false))
    back.on('message', (_topic, payload) => void seen.add(String(payload)))
    await until(() => [...wanted].every(payload => seen.has(payload)), 'all that waited arrives')
    await back.endAsync()
    counts.queued += QUEUED_AT_ONCE
    await pause(500, over)
  }
  await publisher.endAsync()
}

async function renewOften(
  system: System,
  device: Device,
  counts: Counts,
  again: (everyMs: number, work: () => Promise<void>) => Promise<void>,
) {
  let held: Credentials = device
  await again(500, async () => {
    const former = held
    const client = createSelfClient({ api: system.ready.api, ca: device.ca, ...former })
    const key = await makeKey('p256')
    const order = { csr: await makeRequest(device.id, key, 'p256'), reason: 'keyCompromise' } as const
    const { fingerprint } = await client.renew(order)
    const approved = await system.api.call('POST', `/v1/certificates/${fingerprint}/approve`)
    assert.equal(approved.status, 200, `${fingerprint} is approved`)
    const issued = await client.renew(order)
    client.close()
    assert.ok('certificate' in issued, 'what was approved is had')
    held = { key, certificate: [issued.certificate, ...issued.chain].join('') }
    assert.equal(await knock(system.mqttsPort, device.id, held), 'connack 0')
    await until(
      async () => (await knock(system.mqttsPort, device.id, former)) === 'connack 5',
      'the former one is out',
    )
    counts.renewals += 1
  })
}

async function revokeOne(system: System, directory: string, id: string, counts: Counts): Promise<void> {
  const device = await enroll(system.api, join(directory, 'passing'), id)
  const session = await stay(system.mqttsPort, id, device)
  const { status } = await system.api.call('POST', `/v1/certificates/${device.fingerprint}/revoke`, {})
  assert.equal(status, 200)
  await session.closed
  assert.equal(await knock(system.mqttsPort, id, device), 'connack 5', `${id} stays out`)
  counts.revocations += 1
}

async function changePolicy(system: System, turn: number, counts: Counts): Promise<void> {
  const statements = [{ effect: 'deny', actions: ['publish'], topics: [`devices/nobody/${turn}`] }]
  const put = await system.api.call(
    'PUT',
    '/v1/policies/soak',
    { name: 'soak', statements },
    turn === 1 ? {} : { 'if-match': '*' },
  )
  assert.ok(put.status === 200 || put.status === 201, JSON.stringify(put.body))
  const attached = await system.api.call('PUT', '/v1/policies/soak/attachments/everyone')
  assert.ok(attached.status < 300, JSON.stringify(attached.body))
  counts.policyChanges += 1
}

function optionsOf({ id, certificate: cert, key, ca }: Device, clean: boolean) {
  return { clientId: id, clean, cert, key, ca, servername: 'localhost', reconnectPeriod: 0 }
}

function pause(ms: number, over: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const end = () => {
      clearTimeout(timer)
      over.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    over.addEventListener('abort', end)
  })
}
