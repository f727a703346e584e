// A right that ends in the narrow places: after the gate admitted, while the engine asks, at any step of CONNECT.
import assert from 'node:assert/strict'
import type { Duplex } from 'node:stream'
import { afterEach, beforeEach, test } from 'node:test'
import { connectPacket } from '../harness/broker.ts'
import { startTestEngine, type TestEngine } from '../harness/engine.ts'
import { publishPacket, subscribePacket } from '../harness/raw-client.ts'
import { createRoll, type Roll } from '../harness/roll.ts'
import { until } from '../harness/until.ts'

let roll: Roll
let t: TestEngine
beforeEach(async () => {
  roll = await createRoll()
  t = await startTestEngine(roll)
})
afterEach(async () => {
  await t.close()
  await roll.close()
})

/** A revocation as its verb writes it, but within this turn of the event loop. */
function revokeNow(fingerprint: string): void {
  const { sqlite } = roll.registry
  const revoke =
    "UPDATE certificates SET status = 'revoked', revocation_reason = 'keyCompromise' WHERE fingerprint = ?"
  const change =
    "INSERT INTO changes (at, kind, fingerprint, device_id) SELECT 0, 'certificate', fingerprint, device_id FROM certificates WHERE fingerprint = ?"
  sqlite.transaction(() => {
    sqlite.prepare(revoke).run(fingerprint)
    sqlite.prepare(change).run(fingerprint)
  })()
}

function told(what: string, detail?: unknown): boolean {
  return t.events.some(([event, first]) => event === what && (detail === undefined || first === detail))
}

/** All that arrives on a stream, from now on. */
function reading(stream: Duplex): () => Buffer {
  let all = Buffer.alloc(0)
  stream.on('data', bytes => {
    all = Buffer.concat([all, bytes])
  })
  return () => all
}

/** A backend that notes everything it receives. */
async function listenAsBackend(): Promise<{ heard(): string; marker(): Promise<void> }> {
  const backend = await roll.enroll('b1', { groups: ['backend'] })
  const stream = t.enter('b1', backend.fingerprint)
  const heard = reading(stream)
  stream.write(connectPacket({ clientId: 'b1', keepalive: 0 }))
  await until(() => heard().equals(Buffer.from([0x20, 2, 0, 0])))
  stream.write(subscribePacket(1, ['devices/#']))
  await until(() => heard().length === 9)
  return {
    heard: () => String(heard()),
    async marker() {
      stream.write(publishPacket('devices/x', 'MARKER'))
      await until(() => heard().includes('MARKER'))
    },
  }
}

for (const isHanded of [false, true]) {
  const how = isHanded ? 'with the record of the gate' : 'alone'

  test(`a revocation after the gate admitted is seen by the question the engine asks ${how}`, async () => {
    const { fingerprint } = await roll.enroll('d1')
    const record = isHanded ? t.read(fingerprint) : null
    revokeNow(fingerprint)
    const device = t.enter('d1', fingerprint, record)
    const heard = reading(device)
    device.write(connectPacket({ clientId: 'd1' }))
    await until(() => device.readableEnded)
    assert.deepEqual(heard(), Buffer.from([0x20, 2, 0, 5]))
    assert.ok(told('refused', 'certificate_revoked'))
    assert.ok(!told('connected'))
    await until(() => t.engine.sessions.size() === 0)
  })

  test(`a revocation right behind the answer the engine got ${how} finds the session registered`, async () => {
    const { fingerprint } = await roll.enroll('d1')
    const record = isHanded ? t.read(fingerprint) : null
    t.whileAsking(() => revokeNow(fingerprint))
    const device = t.enter('d1', fingerprint, record)
    assert.equal(t.lookups(), isHanded ? 0 : 1, 'a record that was handed along was not read again')
    device.write(connectPacket({ clientId: 'd1' }))
    device.resume()
    await until(() => device.destroyed || device.readableEnded)
    assert.ok(told('cut', 'certificate_revoked'))
    await until(() => told('acknowledged'))
    await until(() => t.engine.sessions.size() === 0)
  })
}

test('a cut at any step of CONNECT leaves no session, no will and no message', async () => {
  const backend = await listenAsBackend()
  for (let step = 0; step < 60; step += 1) {
    const id = `d${step}`
    const { fingerprint } = await roll.enroll(id)
    const device: Duplex = t.enter(id, fingerprint)
    device.resume()
    const will = { topic: `devices/${id}/will`, payload: 'WILL', qos: 1 }
    device.write(
      Buffer.concat([
        connectPacket({ clientId: id, clean: step % 2 === 0, keepalive: 0, will }),
        publishPacket(`devices/${id}/x`, step < 2 ? 'EARLY' : 'x'),
      ]),
    )
    // Small steps first, through every tick of the connect path; larger ones reach beyond it.
    for (let tick = 0; tick < step; tick += 1) {
      await (tick % 3 === 2 ? new Promise(resolve => setImmediate(resolve)) : Promise.resolve())
    }
    const [session] = t.engine.sessions.ofCertificate(fingerprint)
    if (session === undefined) assert.fail(`no session at step ${step}`)
    t.engine.cut(session, 'certificate_revoked')
    await until(() => t.engine.sessions.ofDevice(id).length === 0)
    const connectedAfterCut = t.events
      .slice(t.events.findLastIndex(([event]) => event === 'cut'))
      .some(([event]) => event === 'connected')
    assert.equal(connectedAfterCut, false)
  }
  await backend.marker()
  assert.equal(backend.heard().includes('WILL'), false)
  assert.equal(backend.heard().includes('EARLY'), false, 'what was sent before CONNACK dies with the right')
  assert.equal(t.engine.sessions.size(), 1)
})

test('a doubt of the registry lets nobody new in and cuts nobody inside', async () => {
  const backend = await listenAsBackend()
  const { fingerprint } = await roll.enroll('d1')
  roll.registry.sqlite.exec('ALTER TABLE devices RENAME TO lost')
  const device = t.enter('d1', fingerprint)
  device.resume()
  device.write(connectPacket({ clientId: 'd1' }))
  await until(() => told('refused', 'registry_unavailable'))
  assert.equal(t.engine.sessions.size(), 1)
  revokeNow(fingerprint)
  await until(() => !t.watch.healthy())
  roll.registry.sqlite.exec('ALTER TABLE lost RENAME TO devices')
  await until(() => t.watch.healthy())
  await backend.marker()
})
