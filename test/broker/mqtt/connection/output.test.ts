// What a connection is sent: a socket that is full again and again leaves nothing behind each time.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Duplex } from 'node:stream'
import { test } from 'node:test'
import { createOutput } from '../../../../broker/mqtt/connection/output.ts'
import type { Client } from '../../../../broker/mqtt/state.ts'
import { newTraffic } from '../../../../broker/mqtt/traffic.ts'

test('a connection that fills and drains often keeps no listener of each time', async () => {
  const stream = new Duplex({
    highWaterMark: 10,
    read() {},
    write: (_bytes, _encoding, done) => setImmediate(done),
  })
  const client = {
    stream,
    session: { bytesOut: 0 },
    phase: 'open',
    out: [],
    outBytes: 0,
    batches: [],
    holding: null,
    stall: null,
    onRoom: null,
  }
  let timeouts = 0
  const output = createOutput({
    traffic: newTraffic(),
    timeoutMs: 60_000,
    isBusy: () => false,
    onTimeout: () => {
      timeouts += 1
    },
    onLost: () => {},
    onWritten: () => {},
    onRoom: () => {},
    hold: () => {},
    release: () => {},
  })
  for (let time = 0; time < 20; time += 1) {
    const drained = once(stream, 'drain')
    output.send(client as unknown as Client, Buffer.alloc(100))
    await drained
  }
  assert.deepEqual([stream.listenerCount('close'), stream.listenerCount('drain'), timeouts], [0, 0, 0])
  stream.destroy()
})
