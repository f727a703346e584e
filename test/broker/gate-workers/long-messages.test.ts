// A WebSocket message is one piece, and may be longer than a frame between gate and engine: it travels in several, and costs no gate.
import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import type { Socket } from 'node:net'
import { duplexPair } from 'node:stream'
import { test } from 'node:test'
import { createFrameParser, kinds, PAYLOAD_BYTES_MAX } from '../../../broker/gate-workers/frames.ts'
import { createRemoteEngine } from '../../../broker/gate-workers/remote-engine.ts'
import { createSocketPair } from '../../../broker/gate-workers/socket-pair.ts'

test('a piece of a stream that is longer than a frame arrives whole, in frames that the engine takes', async () => {
  const written: Buffer[] = []
  const socket = Object.assign(new EventEmitter(), {
    destroyed: false,
    write: (bytes: Buffer) => written.push(bytes) > 0,
  })
  const pair = createSocketPair(
    socket as unknown as Socket,
    () => {},
    () => {},
    queueMicrotask,
  )
  const [device, stream] = duplexPair({ highWaterMark: 8 * PAYLOAD_BYTES_MAX })
  const sent = Buffer.alloc(2 * PAYLOAD_BYTES_MAX + 5, 'x')
  device.write(sent)
  await once(stream, 'readable')
  createRemoteEngine(pair).handleConnection({
    stream,
    identity: { fingerprint: 'f1', deviceId: 'd1', chain: 'verified' },
    address: '192.0.2.1',
  })
  await new Promise(resolve => setImmediate(resolve))
  let arrived = 0
  const parse = createFrameParser(({ kind, payload }) => {
    if (kind === kinds.data) arrived += payload.length
  })
  for (const bytes of written) parse(bytes)
  assert.equal(arrived, sent.length)
  device.destroy()
  stream.destroy()
})
