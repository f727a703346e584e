// Revocations while a whole fleet connects: afterwards nobody whose right ended is inside, and nobody gets in.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { awaitReceipt } from '../../db/change-feed.ts'
import {
  attempt,
  connectPacket,
  firstBytes,
  longTimeouts,
  openTls,
  startTestBroker,
  type TestBroker,
} from '../harness/broker.ts'
import { enrollFleet, type Member } from '../harness/fleet.ts'
import { ended, rawSession } from '../harness/raw-client.ts'
import { tester } from '../harness/roll.ts'
import { until } from '../harness/until.ts'

const DEVICES = 1_000
const AT_ONCE = 100
/** How long an acknowledgement may take on a machine that is busy with others. */
const ACKNOWLEDGED_MS = 30_000

/** Connects and gives the socket where CONNACK was 0; it stays open. */
async function enter(t: TestBroker, member: Member): Promise<TLSSocket | null> {
  const socket = await openTls(t, { identity: member }).catch(() => null)
  if (socket === null) return null
  socket.write(connectPacket({ clientId: member.id, keepalive: 0 }))
  const answer = await firstBytes(socket)
  socket.resume()
  return answer?.[3] === 0 ? socket : null
}

async function inTurns<T>(items: T[], work: (item: T) => Promise<void>): Promise<void> {
  const waiting = items.values()
  const worker = async () => {
    for (const item of waiting) await work(item)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}

test(`revoking while ${DEVICES} devices connect leaves no revoked session alive`, async () => {
  const t = await startTestBroker({ settings: longTimeouts })
  try {
    const fleet = await enrollFleet(t.roll, DEVICES)
    const revoked = fleet.filter((_, index) => index % 3 === 0)
    const inside = new Map<string, TLSSocket>()
    let settled = 0
    const connecting = inTurns(fleet, async member => {
      const socket = await enter(t, member)
      if (socket !== null) inside.set(member.id, socket)
      settled += 1
    })
    // Each falls somewhere around the time its device connects: before, during the handshake, or after CONNACK.
    let last = 0
    for (const [index, { fingerprint }] of revoked.entries()) {
      const due = Math.min(index * 3 + ((index * 37) % 200) - 150, DEVICES)
      while (settled < due) await new Promise(resolve => setImmediate(resolve))
      last = await t.roll.writer.revokeCertificate(fingerprint, 'unspecified', tester)
    }
    await connecting
    const receipt = await awaitReceipt(t.roll.registry, last, ACKNOWLEDGED_MS)
    assert.deepEqual([receipt.nodesTotal, receipt.nodesAcknowledged, receipt.unreachable], [1, 1, []])
    await Promise.all(revoked.map(({ id }) => inside.get(id)).map(socket => socket && ended(socket)))

    await until(() => t.broker.sessions() === fleet.length - revoked.length)
    for (const { id } of revoked) assert.equal(inside.get(id)?.destroyed ?? true, true)
    assertNoneAfterAcknowledgement(t, revoked)
    const metrics = await t.broker.metrics()
    for (const outcome of ['cuts', 'refusals']) {
      assert.match(metrics, new RegExp(`rollcall_${outcome}_total\\{reason="certificate_revoked"\\} [1-9]`))
    }
    for (const member of revoked.slice(0, 20)) {
      assert.equal(await attempt(t, { identity: member, connect: { clientId: member.id } }), 'connack 5')
    }
    for (const socket of inside.values()) socket.destroy()
  } finally {
    await t.close()
  }
})

/** In the order of the log: once an epoch is acknowledged, its certificate never connects again. */
function assertNoneAfterAcknowledgement(t: TestBroker, revoked: Member[]): void {
  const epochs = t.roll.registry.sqlite.prepare('SELECT epoch FROM changes WHERE fingerprint = ?').pluck()
  const epochOf = new Map(revoked.map(({ fingerprint }) => [fingerprint, epochs.get(fingerprint) as number]))
  let acknowledged = 0
  for (const line of t.lines) {
    if (line.msg === 'epoch acknowledged') acknowledged = line['epoch'] as number
    if (line.msg !== 'connected') continue
    const epoch = epochOf.get(line.fingerprint!)
    assert.ok(epoch === undefined || epoch > acknowledged, `${line.deviceId} connected after its end`)
  }
}

test('suspending and activating over and over never leaves a suspended device inside', async () => {
  const t = await startTestBroker({ settings: { ...longTimeouts, registryPollMs: 5 } })
  try {
    const fleet = await enrollFleet(t.roll, 20)
    let stop = false
    const knocking = fleet.map(async member => {
      while (!stop) {
        const socket = await enter(t, member)
        if (socket !== null)
          await Promise.race([ended(socket), new Promise(resolve => setImmediate(resolve))])
        socket?.destroy()
      }
    })
    for (let round = 0; round < 15; round += 1) {
      for (const state of ['suspended', 'active'] as const) {
        let epoch = 0
        for (const { id } of fleet) epoch = await t.roll.writer.setDeviceState(id, state, tester)
        const receipt = await awaitReceipt(t.roll.registry, epoch, ACKNOWLEDGED_MS)
        assert.deepEqual(receipt.unreachable, [])
        if (state === 'suspended') assertSuspendedOutside(t)
      }
    }
    stop = true
    await Promise.all(knocking)
    for (const { id } of fleet) await t.roll.writer.setDeviceState(id, 'suspended', tester)
    for (const member of fleet) {
      assert.equal(await attempt(t, { identity: member, connect: { clientId: member.id } }), 'connack 5')
    }
  } finally {
    await t.close()
  }
})

/** Every session that was connected before the acknowledgement has been cut or has gone. */
function assertSuspendedOutside(t: TestBroker): void {
  const inside = new Map<string, number>()
  for (const line of t.lines) {
    const id = line.deviceId
    if (id === undefined) continue
    if (line.msg === 'connected') inside.set(id, (inside.get(id) ?? 0) + 1)
    if (line.msg === 'cut' && line.reason === 'device_suspended') inside.set(id, 0)
    if (line.msg === 'disconnected') inside.set(id, Math.max(0, (inside.get(id) ?? 0) - 1))
  }
  assert.deepEqual(
    [...inside].filter(([, count]) => count > 0),
    [],
  )
}

test('the receipt counts the sessions that were cut and names nodes that do not answer', async () => {
  const t = await startTestBroker({ nodeId: 'one' })
  const other = await startTestBroker({ roll: t.roll, nodeId: 'two' })
  try {
    const device = await t.roll.enroll('d1')
    const sessions = await Promise.all([t, other].map(node => rawSession(node, device, { clientId: 'd1' })))
    const insert = t.roll.registry.sqlite.prepare(
      'INSERT INTO nodes (id, started_at, seen_at, acknowledged_epoch) VALUES (?, 0, 0, 0)',
    )
    insert.run('vanished')
    const epoch = await t.roll.writer.revokeCertificate(device.fingerprint, 'keyCompromise', tester)
    await Promise.all(sessions.map(ended))
    // A socket closes before what was done is on record.
    await until(async () => (await awaitReceipt(t.roll.registry, epoch, 20)).nodesAcknowledged === 2)
    const receipt = await awaitReceipt(t.roll.registry, epoch, 20)
    assert.deepEqual(receipt, {
      epoch,
      nodesTotal: 3,
      nodesAcknowledged: 2,
      sessionsCut: 2,
      unreachable: ['vanished'],
    })
    t.roll.registry.sqlite.exec("DELETE FROM nodes WHERE id = 'vanished'")
    const again = await t.roll.writer.revokeCertificate(device.fingerprint, 'unspecified', tester)
    assert.equal(again, epoch, 'revoking again tells of the first time')
    assert.equal((await awaitReceipt(t.roll.registry, again, ACKNOWLEDGED_MS)).sessionsCut, 2)
  } finally {
    await other.close()
    await t.close()
  }
})

test('a broker that stops in order leaves the list of nodes', async () => {
  const t = await startTestBroker({ nodeId: 'one' })
  const other = await startTestBroker({ roll: t.roll, nodeId: 'two' })
  await other.close()
  const epoch = await t.roll.writer.setIssuerEnabled(t.roll.issuerId, true, tester)
  assert.deepEqual(await awaitReceipt(t.roll.registry, epoch, ACKNOWLEDGED_MS), {
    epoch,
    nodesTotal: 1,
    nodesAcknowledged: 1,
    sessionsCut: 0,
    unreachable: [],
  })
  await t.close()
})
