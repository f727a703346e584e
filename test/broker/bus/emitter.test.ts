// The emitter over NATS: held to mqemitter's own suite, and between two processes' worth of connections on Debian's nats-server.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { after, before, describe, it, type test } from 'node:test'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import type { Message } from 'mqemitter'
import { type Codec, createNatsEmitter, type NatsEmitter } from '../../../broker/bus/emitter.ts'
import { until } from '../../cli/running.ts'
import { type NatsServer, startNats } from '../../harness/nats.ts'

const abstractTest = createRequire(import.meta.url)('mqemitter/abstractTest') as (options: {
  builder(options?: object): NatsEmitter
  test: typeof test
}) => void

const codec: Codec = {
  encode: message => Buffer.from(JSON.stringify(message)),
  decode: bytes => JSON.parse(Buffer.from(bytes).toString()) as Message,
}

let server: NatsServer
let here: NatsConnection
let there: NatsConnection
let emitters = 0

before(async () => {
  server = await startNats()
  here = await connect({ servers: server.url, noEcho: true })
  there = await connect({ servers: server.url, noEcho: true })
})
after(async () => {
  await here.close()
  await there.close()
  await server[Symbol.asyncDispose]()
})

const built = (options: object = {}, connection = here, prefix = `suite${++emitters}`) =>
  createNatsEmitter({ ...options, connection, codec, prefix })

describe('mqemitter’s own suite', () => {
  abstractTest({ builder: built, test: it as typeof test })
})

/** Two emitters of one prefix; what comes to the second is gathered. */
async function pair(filters: string[], options: object = {}) {
  const prefix = `pair${++emitters}`
  const lost: unknown[] = []
  const sender = built(options, here, prefix)
  const receiver = built({ ...options, onLost: (...what: unknown[]) => lost.push(what) }, there, prefix)
  const got: Message[] = []
  for (const filter of filters)
    receiver.on(filter, (message, done) => {
      got.push(message)
      done()
    })
  await there.flush()
  return { sender, receiver, got, lost, prefix }
}

describe('between two processes', () => {
  it('carries what the other follows, once for each listener, in order', async () => {
    const { sender, got } = await pair(['a/+', '#'])
    for (let n = 0; n < 2_000; n += 1) sender.emit({ topic: 'a/b', n })
    await until(async () => got.length >= 4_000, 'all are there')
    assert.deepEqual(
      got.filter((_, at) => at % 2 === 0).map(({ n }) => n),
      Array.from({ length: 2_000 }, (_, n) => n),
    )
  })

  it('carries topics with what NATS means otherwise, and none that nobody follows', async () => {
    const topics = ['a.b', 'a b/*', '>', 'x//', '/', '$dollar/x', 'ü/🜁', `long/${'.'.repeat(4_000)}`]
    const { sender, got } = await pair(topics)
    const { inMsgs } = there.stats()
    for (const topic of ['a/b', 'a', ...topics]) sender.emit({ topic })
    await until(async () => got.length >= topics.length, 'all are there')
    assert.deepEqual(
      got.map(({ topic }) => topic),
      topics,
    )
    assert.equal(there.stats().inMsgs - inMsgs, topics.length)
  })

  it('follows no longer what has no listener, nor anything by listeners where it is told', async () => {
    const { sender, receiver, got } = await pair(['#'], { followsListeners: false })
    sender.emit({ topic: 'a' })
    receiver.follow('b')
    receiver.follow('b')
    receiver.unfollow('b')
    await there.flush()
    sender.emit({ topic: 'b', n: 1 })
    await until(async () => got.length === 1, 'what is followed came')
    receiver.unfollow('b')
    receiver.follow('c')
    await there.flush()
    sender.emit({ topic: 'b', n: 2 })
    sender.emit({ topic: 'c' })
    await until(async () => got.length === 2, 'what is followed now came')
    assert.deepEqual(
      got.map(({ topic }) => topic),
      ['b', 'c'],
    )
  })

  it('drops what is no message, tells it, and goes on', async () => {
    const { sender, got, lost, prefix } = await pair(['#'])
    for (const bytes of ['', 'short', `${'x'.repeat(12)}{`, `${'y'.repeat(12)}null`])
      here.publish(`${prefix}.t.a.=e`, bytes)
    sender.emit({ topic: 'good' })
    await until(async () => got.length === 1, 'the good one came')
    assert.equal(lost.length, 4)
  })

  it('tells that a message larger than the server takes was not sent', async () => {
    const lost: unknown[] = []
    const sender = built({ onLost: (what: string) => lost.push(what) })
    sender.emit({ topic: 'a', payload: 'x'.repeat(2_000_000) })
    assert.deepEqual(lost, ['sent'])
  })
})
