// Wills of devices whose node is killed, and which come to another node before that one was declared ended: each is sent once.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { clientAt, createNodes, type Nodes } from './nodes.ts'

const DEVICES = 10

let nodes: Nodes
beforeEach(async () => {
  nodes = await createNodes()
})
afterEach(() => nodes[Symbol.asyncDispose]())

for (const others of [['two'], ['two', 'three']])
  test(`a device that waits for its session at one of ${others.length} other nodes has its will sent once`, async () => {
    const one = await nodes.fork('one')
    const rest = await Promise.all(others.map(name => nodes.fork(name)))
    const reader = await clientAt(rest[0]!, 'reader', await nodes.backend('reader'))
    await reader.client.subscribeAsync('devices/will/#', { qos: 2 })
    const options = (id: string) => ({
      clean: false,
      will: { topic: `devices/will/${id}`, payload: Buffer.from(id), qos: 1 as const, retain: false },
    })
    const identities = await Promise.all(
      Array.from({ length: DEVICES }, async (_, n) => [`d${n}`, await nodes.backend(`d${n}`)] as const),
    )
    const before = await Promise.all(
      identities.map(([id, identity]) => clientAt(one, id, identity, options(id))),
    )
    await one.kill()
    for (const { client } of before) client.end(true)
    const back = await Promise.all(
      identities.map(([id, identity], n) => clientAt(rest[n % rest.length]!, id, identity, options(id))),
    )
    for (const [id] of identities) await reader.inbox.message(id)
    for (const { client } of back) await client.endAsync()
    await reader.client.publishAsync('devices/will/last', 'last', { qos: 2 })
    await reader.inbox.message('last')
    const wills = reader.inbox.all.map(({ payload }) => payload).filter(payload => payload !== 'last')
    assert.deepEqual(wills.toSorted(), identities.map(([id]) => id).toSorted())
    await reader.client.endAsync()
  })
