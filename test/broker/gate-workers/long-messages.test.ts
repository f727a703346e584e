// A WebSocket message is one piece, and may be longer than a frame between gate and engine: it travels in parts, within the window, and
// costs no gate.
import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import type { Socket } from 'node:net'
import { type Duplex, duplexPair } from 'node:stream'
import { test } from 'node:test'
import {
  createFrameParser,
  type Frame,
  kinds,
  PAYLOAD_BYTES_MAX,
} from '../../../broker/gate-workers/frames.ts'
import { createRemoteEngine } from '../../../broker/gate-workers/remote-engine.ts'
import { createRemoteStream } from '../../../broker/gate-workers/remote-stream.ts'
import { createSocketPair } from '../../../broker/gate-workers/socket-pair.ts'
import { WINDOW_BYTES } from '../../../broker/gate-workers/window.ts'

test('a piece of a stream that is longer than a frame arrives whole, and while nobody reads only a window of it', async () => {
  const [gate, engine] = [pairTo(frame => toEngine(frame)), pairTo(frame => void remote.receive(frame))]
  const remote = createRemoteEngine(gate.pair)
  let received: Duplex | null = null
  let underWay = 0
  let deliver: (frame: Frame) => void = () => {}
  function toEngine(frame: Frame): void {
    if (frame.kind === kinds.open) {
      const passage = createRemoteStream(frame.connection, engine.pair, () => {})
      received = passage.stream
      deliver = ({ payload }) => passage.data(payload)
    } else if (frame.kind === kinds.data) {
      underWay += frame.payload.length
      deliver(frame)
    }
  }
  const [device, stream] = duplexPair({ highWaterMark: 8 * PAYLOAD_BYTES_MAX })
  const sent = Buffer.alloc(4 * PAYLOAD_BYTES_MAX + 5, 'x')
  device.write(sent)
  await once(stream, 'readable')
  remote.handleConnection({
    stream,
    identity: { fingerprint: 'f1', deviceId: 'd1', chain: 'verified' },
    address: '192.0.2.1',
  })
  await new Promise(resolve => setImmediate(resolve))
  assert.ok(underWay > 0 && underWay < 2 * WINDOW_BYTES, `${underWay} bytes`)
  let arrived = 0
  for await (const bytes of received! as Duplex) {
    arrived += (bytes as Buffer).length
    if (arrived === sent.length) break
  }
  assert.equal(arrived, sent.length)
  device.destroy()
  stream.destroy()
})

/** One end of a pair whose frames go to this receiver, which may refuse none. */
function pairTo(receive: (frame: Frame) => void) {
  const parse = createFrameParser(receive)
  const socket = Object.assign(new EventEmitter(), {
    destroyed: false,
    write(bytes: Buffer) {
      parse(Buffer.from(bytes))
      return true
    },
  })
  const pair = createSocketPair(
    socket as unknown as Socket,
    () => {},
    () => {},
    write => setImmediate(write),
  )
  return { pair }
}
