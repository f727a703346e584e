// Bytes that arrive in several chunks within one turn of the event loop: 'readable' is emitted once for all of them.
import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { awaitFirstPacket, type FirstPacketOutcome } from '../../../../broker/gate/transport/first-packet.ts'
import { awaitProxyHeader } from '../../../../broker/gate/transport/proxy-header.ts'
import { connectPacket } from '../../../harness/broker.ts'
import { proxyHeader } from '../../../harness/proxy-header.ts'

test('a first packet in several chunks is judged without waiting for more bytes', async () => {
  const stream = inSingleBytes(connectPacket({ clientId: 'd1' }))
  const outcome = await new Promise<FirstPacketOutcome>(resolve =>
    awaitFirstPacket(stream, { connectBytesMax: 1_024 }, resolve),
  )
  assert.equal(outcome.verdict, 'connect')
})

test('a PROXY header in several chunks is read without waiting for more bytes', async () => {
  const stream = inSingleBytes(proxyHeader('192.0.2.7'))
  const address = await new Promise(resolve => awaitProxyHeader(stream as unknown as Socket, 60_000, resolve))
  assert.equal(address, '192.0.2.7')
})

function inSingleBytes(bytes: Buffer): PassThrough {
  const stream = new PassThrough()
  for (const byte of bytes) stream.write(Buffer.of(byte))
  return stream
}
