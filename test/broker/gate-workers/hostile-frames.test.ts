// What no gate sends: the pair is closed, its connections end, and what it held of the limits is free again. Other gates do not notice.
import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { test } from 'node:test'
import fc from 'fast-check'
import type { AdmittedConnection } from '../../../broker/connection-handler.ts'
import { createLimits } from '../../../broker/gate/limits/connection-limits.ts'
import {
  createFrameWriter,
  type Kind,
  kinds,
  PAYLOAD_BYTES_MAX,
  type Payload,
} from '../../../broker/gate-workers/frames.ts'
import { openPayload, readOpened } from '../../../broker/gate-workers/open-frame.ts'
import { createRemoteGate } from '../../../broker/gate-workers/remote-gate.ts'
import { createSocketPair } from '../../../broker/gate-workers/socket-pair.ts'
import { WINDOW_BYTES } from '../../../broker/gate-workers/window.ts'
import { validateSettings } from '../../../broker/settings/validation.ts'

const opened: Omit<AdmittedConnection, 'stream'> = {
  identity: { fingerprint: 'f1', chain: 'verified', deviceId: 'd1' },
  address: '192.0.2.1',
  trace: undefined,
  transportInfo: {
    transport: 'tls',
    tlsVersion: 'TLSv1.3',
    cipher: 'TLS_AES_128_GCM_SHA256',
    resumed: false,
  },
  record: {
    ...{ fingerprint: 'f1', deviceId: 'd1', deviceState: 'active', status: 'superseded', trust: 'chained' },
    ...{ notBefore: 1, notAfter: 2, graceUntil: 3, firstUsedAt: null, clientAuth: true, isCa: false },
    ...{ defect: 'certificate_signature_weak', defectGrace: true, keyType: 'p256', serialNumber: '0a' },
    ...{ issuerId: null, issuerEnabled: true, issuerRevoked: false, revokedByIssuer: false },
    ...{ issuerNotAfter: null, lastChange: '7 1700000000000' },
  },
}
const open = openPayload(opened)

/** The engine's end of a pair, and what a gate says. */
function startGate() {
  const limits = createLimits(validateSettings({}), () => 0)
  const streams: Duplex[] = []
  const refused: unknown[] = []
  const nothing = () => {}
  const socket = Object.assign(new EventEmitter(), {
    destroyed: false,
    write: () => true,
    destroy(): void {
      if (socket.destroyed) return
      socket.destroyed = true
      socket.emit('close')
    },
  })
  const pair = createSocketPair(
    socket as unknown as Socket,
    frame => gate.receive(frame),
    () => gate.gone(),
    queueMicrotask,
  )
  const gate = createRemoteGate({
    pair,
    limits,
    handleConnection({ stream }) {
      stream.on('error', nothing)
      streams.push(stream)
      return { drop: () => void stream.destroy() }
    },
    deviceOf: () => null,
    noteArrival: () => true,
    replicaAgeMs: null,
    observer: {
      refused: (...given) => void refused.push(given),
      ...{ handshakeTook: nothing, refusalDelayed: nothing, admissionTook: nothing, trustReloaded: nothing },
      ...{ trustNotReloaded: nothing, registryInDoubt: nothing, figures: nothing },
    },
  })
  return {
    socket,
    streams,
    refused,
    counts: limits.counts,
    bytes: (bytes: Buffer) => void socket.emit('data', bytes),
    say(kind: number, connection: number, payload: Payload = '') {
      const writer = createFrameWriter()
      writer.add(kind as Kind, connection, payload)
      for (const piece of writer.take()) socket.emit('data', piece)
    },
  }
}

test('a connection arrives as it was handed over, with and without what is optional', () => {
  const { identity, address } = opened
  for (const one of [opened, { ...opened, record: null }, { ...opened, trace: '00-ab' }])
    assert.deepEqual(readOpened(Buffer.from(openPayload(one))), one)
  assert.deepEqual(readOpened(Buffer.from(openPayload({ identity, address }))), {
    ...{ identity, address, trace: undefined, record: null },
  })
})

const hostile: [what: string, kind: number, connection: number, payload: Payload][] = [
  ['a kind that there is not', 99, 1, ''],
  ['a kind that the engine sends', kinds.begin, 0, '{}'],
  ['a connection that is open already', kinds.open, 1, open],
  ['a connection that is no JSON', kinds.open, 2, '{"identity"'],
  ['a connection that is no list', kinds.open, 2, 'null'],
  ['a record whose state is none', kinds.open, 2, open.replace('"superseded"', '"constructor"')],
  [
    'a record whose defect is none',
    kinds.open,
    2,
    open.replace('"certificate_signature_weak"', '"toString"'),
  ],
  ['a record that is not whole', kinds.open, 2, open.replace(',"7 1700000000000"', '')],
  ['an address that is a number', kinds.open, 2, open.replace('"192.0.2.1"', '5')],
  ['a credit that is too short', kinds.credit, 1, 'x'],
  ['a reason that is none', kinds.drop, 1, 'valueOf'],
  ['a handshake that ended in no way', kinds.handshakeEnded, 0, 'gladly 192.0.2.1'],
  ['a call of no observer', kinds.event, 0, '{"name":"constructor","values":[]}'],
  ['a refusal without a reason', kinds.event, 0, '{"name":"refused","values":[]}'],
  ['an event that is no JSON', kinds.event, 0, '{'],
]
for (const [what, kind, connection, payload] of hostile)
  test(`${what} ends the connections of that gate alone`, async () => {
    const [gate, other] = [startGate(), startGate()]
    for (const one of [gate, other]) {
      one.say(kinds.ask, 1, '192.0.2.1')
      one.say(kinds.open, 1, open)
    }
    assert.equal(gate.counts().connections, 1)
    gate.say(kind, connection, payload)
    assert.ok(gate.socket.destroyed)
    assert.ok(gate.streams.every(stream => stream.destroyed))
    assert.deepEqual(gate.counts(), { connections: 0, handshakes: 0, waiting: 0 })
    gate.say(kinds.open, 3, open)
    assert.equal(gate.streams.length, 1, 'nothing is heard of it any more')
    assert.ok(!other.socket.destroyed && !other.streams[0]!.destroyed)
  })

test('a gate that heeds no window is ended before more is kept of what nobody reads', () => {
  const gate = startGate()
  gate.say(kinds.open, 1, open)
  gate.say(kinds.data, 1, Buffer.alloc(WINDOW_BYTES - 1))
  gate.say(kinds.data, 1, Buffer.alloc(PAYLOAD_BYTES_MAX))
  assert.ok(!gate.socket.destroyed, 'a last frame may be as long as frames are')
  gate.say(kinds.data, 1, Buffer.alloc(1))
  assert.ok(gate.socket.destroyed)
})

test('whatever bytes come, the engine goes on, and a pair is open or all of its connections are ended', () => {
  const said = fc.record({
    kind: fc.oneof(fc.constantFrom(...Object.values(kinds)), fc.nat(255)),
    connection: fc.nat(4),
    payload: fc.oneof(
      fc.string({ unit: 'binary', maxLength: 60 }),
      fc.json(),
      fc.double(),
      fc.constant(open),
      fc.constantFrom('known 192.0.2.1', 'stranger x', 'certificate_revoked', '192.0.2.1'),
    ),
  })
  const noise = fc.uint8Array({ maxLength: 40 })
  fc.assert(
    fc.property(fc.array(fc.oneof({ weight: 9, arbitrary: said }, { weight: 1, arbitrary: noise })), all => {
      const gate = startGate()
      for (const one of all)
        if (one instanceof Uint8Array) gate.bytes(Buffer.from(one))
        else gate.say(one.kind, one.connection, one.payload)
      const { connections, handshakes } = gate.counts()
      if (!gate.socket.destroyed) gate.socket.destroy()
      assert.ok(gate.streams.every(stream => stream.destroyed))
      assert.ok(connections >= 0 && handshakes >= 0)
      assert.deepEqual(gate.counts(), { connections: 0, handshakes: 0, waiting: 0 })
    }),
    { numRuns: 300 },
  )
})
