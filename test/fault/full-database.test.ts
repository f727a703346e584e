// The disk of PostgreSQL is full under two broker nodes, and then it is killed: nothing that was acknowledged is lost, what goes without
// PostgreSQL goes on, the log says why, and all goes on once there is space. A node that cannot say that it lives ends, and is started again.
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { clientAt, createNodes, type NodeProcess } from '../broker/cluster/nodes.ts'
import { until } from '../cli/running.ts'
import { length } from './length.ts'
import { mountSmallDisk } from './small-disk.ts'
import { startTraffic, type Traffic } from './traffic.ts'

/** initdb, and what it keeps of its log. */
const MEGABYTES = 160
const PADDING = 8_000
const FULL_MS = length(1_000, 10_000)

test('the disk of PostgreSQL is full, and has space again', async (t: TestContext) => {
  const disk = mountSmallDisk(MEGABYTES)
  if (disk === null) return t.skip('only root may mount a small disk')
  let isOver = false
  let traffic: Traffic | undefined
  try {
    await using nodes = await createNodes({ durable: true, directory: disk.path })
    const said: string[] = []
    let ends = 0
    const start = async (name: string, port = 0): Promise<NodeProcess> => {
      const node = await nodes.fork(name, port)
      void node.ended.then(() => {
        if (isOver) return
        said.push(node.log())
        ends += 1
        start(name, node.broker.port).catch(error => said.push(String(error)))
      })
      return node
    }
    const [one, two] = [await start('one'), await start('two')]
    const ca = nodes.roll.root.certificate
    const device = async (id: string) => ({ id, ca, ...(await nodes.backend(id)) })
    const ports = [one.broker.port, two.broker.port]
    traffic = await startTraffic(ports, await device('sender'), await device('receiver'), {
      ...{ inFlight: 2, everyMs: 5, padding: PADDING },
    })
    const [from, to] = [
      await clientAt(one, 'from', await nodes.backend('from')),
      await clientAt(one, 'to', await nodes.backend('to')),
    ]
    await to.client.subscribeAsync('devices/live', { qos: 0 })
    const { acknowledged } = traffic
    await until(async () => acknowledged() > 20, 'some are acknowledged')
    disk.fill()
    const found = () =>
      [one.log(), two.log(), ...said].some(log => /No space left|could not extend/.test(log))
    await until(async () => found(), 'a node says that there is no space')
    if (ends === 0) {
      from.client.publish('devices/live', 'live', { qos: 0 })
      await to.inbox.message('live')
    }
    const before = acknowledged()
    await delay(FULL_MS)
    const meanwhile = acknowledged() - before
    await nodes.postgres.kill()
    disk.free()
    await nodes.postgres.start()
    const freedAt = performance.now()
    await until(async () => acknowledged() > before + meanwhile + 20, 'acknowledged again')
    t.diagnostic(
      `${meanwhile} acknowledged while full; again ${Math.round(performance.now() - freedAt)} ms after there was space; ${ends} ends of nodes`,
    )
    const settled = await traffic.settle()
    t.diagnostic(`${settled.acknowledged} messages acknowledged, all arrived`)
    isOver = true
    for (const { client } of [from, to]) client.end(true)
  } finally {
    isOver = true
    await traffic?.end()
    disk[Symbol.dispose]()
  }
})
