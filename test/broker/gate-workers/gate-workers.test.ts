// The same broker with its gate inside, with one gate process and with two: nobody outside can tell.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import pino from 'pino'
import { startBroker } from '../../../broker/index.ts'
import { validateSettings } from '../../../broker/settings/validation.ts'
import {
  attempt,
  connectPacket,
  firstBytes,
  mqttClient,
  openTls,
  startTestBroker,
  type TestBroker,
} from '../../harness/broker.ts'
import { openInbox } from '../../harness/inbox.ts'
import { ended, keptSession, publishPacket, rawSession, subscribePacket } from '../../harness/raw-client.ts'
import { tester } from '../../harness/roll.ts'
import { notOnBun } from '../../harness/runtime.ts'
import { until } from '../../harness/until.ts'

const DISCONNECT = Buffer.from([0xe0, 0])
/** How long the broker waits for a device that does not close. */
const LINGER_MS = 1_000

for (const gates of [0, 1, 2]) {
  const on = (
    name: string,
    work: (t: TestBroker) => Promise<void>,
    settings: Record<string, number> = {},
    skip: string | false = false,
  ) =>
    test(`${gates} gates: ${name}`, { skip }, async () => {
      const t = await startTestBroker({ settings: { gates, ...settings } })
      try {
        await work(t)
      } finally {
        await t.close()
      }
    })

  on('a listed device enters, a stranger is cut, a refused device is told, each with its reason', async t => {
    const d1 = await t.roll.enroll('d1')
    const d2 = await t.roll.enroll('d2')
    await t.roll.writer.setDeviceState('d2', 'suspended', tester)
    assert.equal(await attempt(t, { identity: d1, connect: { clientId: 'd1' } }), 'connack 0')
    assert.equal(await attempt(t, { identity: d1, connect: { clientId: 'd2' } }), 'connack 2')
    assert.equal(await attempt(t, { identity: d2, connect: { clientId: 'd2' } }), 'connack 5')
    assert.equal(await attempt(t, { connect: { clientId: 'd1' } }), 'cut')
    for (const reason of ['client_id_mismatch', 'device_suspended', 'certificate_missing']) {
      const line = await t.line(one => one.msg === 'refused' && one.reason === reason)
      assert.equal(line['address'], '127.0.0.1')
    }
    assert.match(await t.broker.metrics(), /rollcall_handshake_seconds_count [4-9]/)
  })

  on('messages of every size arrive whole and in order', async t => {
    const device = await mqttClient(t, 'd1', await t.roll.enroll('d1'))
    const backend = await mqttClient(t, 'b1', await t.roll.enroll('b1', { groups: ['backend'] }))
    const inbox = openInbox(backend)
    await backend.subscribeAsync('devices/#', { qos: 1 })
    const texts = [1, 127, 16_384, 65_536, 200_000, 3].map((size, index) => `${index}:`.padEnd(size + 2, 'x'))
    for (const [index, text] of texts.entries()) {
      await device.publishAsync(`devices/d1/${index}`, text, { qos: index % 2 === 0 ? 1 : 0 })
    }
    for (const text of texts) await inbox.message(text)
    await device.endAsync()
    await backend.endAsync()
  })

  on('a revoked device is cut at once, and its will stays unsaid', async t => {
    const d1 = await t.roll.enroll('d1')
    const backend = await mqttClient(t, 'b1', await t.roll.enroll('b1', { groups: ['backend'] }))
    const inbox = openInbox(backend)
    await backend.subscribeAsync('devices/#')
    const socket = await rawSession(t, d1, {
      clientId: 'd1',
      will: { topic: 'devices/d1/will', payload: 'gone' },
    })
    await t.roll.writer.revokeCertificate(d1.fingerprint, 'unspecified', tester)
    await ended(socket)
    await backend.publishAsync('devices/b1/marker', 'marker')
    await inbox.message('marker')
    assert.equal(
      inbox.all.some(message => message.payload === 'gone'),
      false,
    )
    await backend.endAsync()
  })

  on(
    'limits hold over all gates together',
    async t => {
      const sockets: TLSSocket[] = []
      for (let index = 0; index < 5; index += 1) {
        sockets.push(await rawSession(t, await t.roll.enroll(`d${index}`), { clientId: `d${index}` }))
      }
      const identity = await t.roll.enroll('one-more')
      for (let again = 0; again < 6; again += 1) assert.equal(await attempt(t, { identity }), 'cut')
      await t.line(line => line.reason === 'connections_exceeded')
      sockets[0]!.destroy()
      await t.line(line => line.msg === 'disconnected')
      await until(async () => (await attempt(t, { identity })) === 'connack 0')
      for (const socket of sockets) socket.destroy()
    },
    { connectionsMax: 5 },
  )

  on(
    'a device resumes its TLS session wherever it arrives, until the trust anchors change',
    async t => {
      const identity = await t.roll.enroll('d1')
      let kept = await keptSession(t, identity)
      for (let again = 0; again < 8; again += 1) {
        kept = await keptSession(t, identity, { session: kept.session })
        assert.equal(kept.resumed, true)
      }
      const socket = await rawSession(t, await t.roll.enroll('d2'), { clientId: 'd2' })
      t.broker.reload()
      await until(
        () => t.lines.filter(line => /anchors reloaded/.test(line.msg)).length === Math.max(gates, 1),
      )
      for (let again = 0; again < 4; again += 1) {
        assert.equal((await keptSession(t, identity, { session: kept.session })).resumed, false)
      }
      socket.write(subscribePacket(1, ['devices/d2/x']))
      assert.equal((await firstBytes(socket))?.[0], 0x90, 'the reload dropped nobody')
      socket.destroy()
    },
    {},
    gates > 1 && notOnBun('each gate has ticket keys of its own'),
  )

  on('a device that says DISCONNECT is gone at once, whichever side closes first', async t => {
    const identity = await t.roll.enroll('d1')
    for (const closes of [true, false]) {
      const waits: number[] = []
      for (let visit = 0; visit < 5; visit += 1) {
        const socket = await rawSession(t, identity, { clientId: 'd1' })
        const began = performance.now()
        if (closes) socket.end(DISCONNECT)
        else socket.write(DISCONNECT)
        await ended(socket)
        await until(() => t.broker.sessions() === 0)
        waits.push(performance.now() - began)
      }
      // A broker that lingers does so every time; one that does not is late only where the machine is busy.
      assert.ok(Math.min(...waits) < LINGER_MS, `${waits} ms`)
    }
  })

  on('a packet that declares too much ends its session unread', async t => {
    const socket = await rawSession(t, await t.roll.enroll('d1'), { clientId: 'd1' })
    socket.write(Buffer.from('30ffffff7f', 'hex'))
    await ended(socket)
    await t.line(line => line.reason === 'packet_too_large' && line.deviceId === 'd1')
  })

  on(
    'a device that does not read loses messages, and costs the others nothing',
    async t => {
      const device = await mqttClient(t, 'd1', await t.roll.enroll('d1'))
      const slow = await openTls(t, { identity: await t.roll.enroll('b1', { groups: ['backend'] }) })
      slow.write(connectPacket({ clientId: 'b1' }))
      await firstBytes(slow)
      slow.write(subscribePacket(1, ['devices/d1/flood']))
      await firstBytes(slow)
      slow.pause()
      const payload = Buffer.alloc(100_000)
      await until(async () => {
        for (let index = 0; index < 20; index += 1) await device.publishAsync('devices/d1/flood', payload)
        await device.publishAsync('devices/d1/x', 'still served', { qos: 1 })
        return /rollcall_messages_dropped_total\{queue="outbound"\} [1-9]/.test(await t.broker.metrics())
      }, 60_000)
      slow.destroy()
      await device.endAsync()
    },
    { outboundBytesMax: 65_536 },
  )
}

test('a gate that is killed takes only its own connections, and another takes its place', async () => {
  const t = await startTestBroker({ settings: { gates: 2, connectionsMax: 20 } })
  try {
    const ready = t.lines.filter(line => line.msg === 'gate ready')
    const sockets: TLSSocket[] = []
    for (let index = 0; index < 20; index += 1) {
      sockets.push(await rawSession(t, await t.roll.enroll(`d${index}`), { clientId: `d${index}` }))
    }
    const closed = sockets.map(socket =>
      once(socket, 'close').then(
        () => socket,
        () => socket,
      ),
    )
    process.kill(ready[0]!['pid'] as number, 'SIGKILL')
    await t.line(line => line.msg === 'gate died: starting it again' && line['gate'] === ready[0]!['gate'])
    await t.line(
      line =>
        line.msg === 'gate ready' && line['gate'] === ready[0]!['gate'] && line['pid'] !== ready[0]!['pid'],
    )
    await Promise.race(closed)
    await until(() => t.broker.sessions() === sockets.filter(socket => !socket.destroyed).length)
    const left = t.broker.sessions()
    assert.ok(left > 0 && left < 20, `${left} of 20 sessions stayed`)
    // What it held of the limits is free again: as many as before find room.
    for (let index = left; index < 20; index += 1) {
      const id = `again-${index}`
      sockets.push(await rawSession(t, await t.roll.enroll(id), { clientId: id }))
    }
    const survivor = sockets.find(socket => !socket.destroyed)!
    survivor.write(publishPacket('devices/none/x', 'y'))
    for (const socket of sockets) socket.destroy()
  } finally {
    await t.close()
  }
})

const ofLibuv = notOnBun('it asks libuv for what listens')
test('a port that the kernel chose is held until the gates listen on it', { skip: ofLibuv }, async () => {
  const listening = () => process.getActiveResourcesInfo().includes('TCPServerWrap')
  let looks = 0
  let held = 0
  let t: TestBroker | undefined
  const starting = startTestBroker({ settings: { gates: 1 } }).then(started => {
    t = started
  })
  while (t === undefined) {
    if (held > 0 || listening()) looks += 1
    if (listening()) held += 1
    await new Promise(resolve => setImmediate(resolve))
  }
  await starting
  try {
    // A gate takes many turns to start; in the last few it listens already, and then it does so alone.
    assert.ok(looks > 10 && held > looks * 0.9, `held in ${held} of ${looks} turns`)
    await until(() => !listening())
  } finally {
    await t.close()
  }
})

test('a port that another broker with gates listens on is taken', async () => {
  const t = await startTestBroker({ settings: { gates: 1 } })
  try {
    await assert.rejects(
      startBroker({
        data: t.roll.data,
        host: '127.0.0.1',
        port: t.broker.port,
        settings: validateSettings({ gates: 1 }),
        log: pino({ level: 'silent' }),
        nodeId: 'other',
      }),
      { code: 'EADDRINUSE' },
    )
  } finally {
    await t.close()
  }
})
