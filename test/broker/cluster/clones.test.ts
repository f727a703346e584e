// One certificate in two hands, each at a node of its own: noticed as at one node, once, and suspended where that is set.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { ConnectionOptions } from 'node:tls'
import { until } from '../../cli/running.ts'
import type { Identity } from '../../harness/authority.ts'
import { attempt, connectPacket, firstBytes, openTls, type TestBroker } from '../../harness/broker.ts'
import { createNodes, type Nodes } from './nodes.ts'

let nodes: Nodes
let one: TestBroker
let two: TestBroker

before(async () => {
  nodes = await createNodes()
  one = await nodes.start('one', { suspendClones: 1 })
  two = await nodes.start('two', { suspendClones: 1 })
})
after(() => nodes[Symbol.asyncDispose]())

/** Comes to a node from an address of loopback, and stays. */
async function come(node: TestBroker, identity: Identity, clientId: string, localAddress: string) {
  const socket = await openTls(node, { identity, tls: { localAddress } as ConnectionOptions })
  socket.on('error', () => {})
  socket.write(connectPacket({ clientId }))
  return (await firstBytes(socket))?.[3]
}

const told = () => [one, two].flatMap(({ lines }) => lines.filter(({ msg }) => msg === 'certificate_cloned'))

test('two addresses at two nodes that take a session from each other are told once, and the certificate is suspended', async () => {
  const identity = await nodes.roll.enroll('d1')
  assert.equal(await come(one, identity, 'd1', '127.0.0.2'), 0)
  assert.equal(await come(two, identity, 'd1', '127.0.0.3'), 0)
  assert.equal(await come(one, identity, 'd1', '127.0.0.2'), 0)
  assert.deepEqual(told(), [], 'a device that moves, and back, is none')
  await come(two, identity, 'd1', '127.0.0.3')
  await until(() => told().length > 0, 'it is told')
  await until(
    async () => (await attempt(one, { identity, connect: { clientId: 'd1' } })) === 'connack 5',
    'it is refused',
  )
  await until(
    async () => (await attempt(two, { identity, connect: { clientId: 'd1' } })) === 'connack 5',
    'it is refused',
  )
  const [line, ...more] = told()
  assert.deepEqual(more, [])
  assert.equal(line!['kind'], 'alternating_sources')
  assert.deepEqual([line!.deviceId, line!['suspended'], line!['takeovers']], ['d1', true, 3])
  assert.deepEqual(line!['addresses'], ['127.0.0.2', '127.0.0.3'])
  const audited = nodes.roll.registry.sqlite
    .prepare<[], number>("SELECT count(*) FROM audit WHERE action = 'certificate.suspend'")
    .pluck()
    .get()
  assert.equal(audited, 1)
  assert.ok(one.lines.some(({ msg }) => msg === 'taken over by a newer connection'))
})

test('a device that renews while it moves between nodes is no clone', async () => {
  const first = await nodes.roll.enroll('d2')
  const second = await nodes.roll.issuing.issue({ name: 'd2' })
  await nodes.roll.list('d2', second)
  const before = told().length
  for (let round = 0; round < 3; round += 1) {
    assert.equal(await come(one, first, 'd2', '127.0.0.2'), 0)
    assert.equal(await come(two, second, 'd2', '127.0.0.3'), 0)
  }
  assert.equal(told().length, before)
})
