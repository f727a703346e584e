// What a node reports of its bus, to operators and in its metrics.
import assert from 'node:assert/strict'
import { after, before, it } from 'node:test'
import { until } from '../../cli/running.ts'
import { clientAt, createNodes, type Nodes } from './nodes.ts'

let nodes: Nodes

before(async () => {
  nodes = await createNodes()
})
after(() => nodes[Symbol.asyncDispose]())

it('a node reports that the bus is away, and shows what it reads from the log instead', async () => {
  const one = await nodes.start('one')
  const two = await nodes.start('two')
  const reader = await clientAt(two, 'reader', await nodes.backend('reader'))
  await reader.client.subscribeAsync('devices/away/#', { qos: 1 })
  const publisher = await clientAt(one, 'publisher', await nodes.backend('publisher'))
  const isReported = nodes.roll.registry.sqlite
    .prepare<[], number>("SELECT bus_connected FROM nodes WHERE id = 'two'")
    .pluck()
  const shows = async (line: RegExp) => line.test(await two.broker.metrics())
  await until(async () => isReported.get() === 1, 'it reports its bus')
  assert.ok(await shows(/^rollcall_bus_connected 1$/m))
  assert.ok(await shows(/^rollcall_node_info\{node="two"\} 1$/m))
  assert.ok(await shows(/^rollcall_bus_messages_read_total 0$/m))
  await nodes.nats.stop()
  await publisher.client.publishAsync('devices/away/x', 'by the log', { qos: 1 })
  await reader.inbox.message('by the log')
  await until(async () => isReported.get() === 0, 'it reports that the bus is away')
  assert.ok(await shows(/^rollcall_bus_connected 0$/m))
  assert.ok(await shows(/^rollcall_bus_messages_read_total [1-9]/m))
  for (const { client } of [reader, publisher]) await client.endAsync()
})
