// A device that moves between nodes all the time, and is cut off in the middle of what it sends and gets: QoS 2 stays once, and in order; and
// it may send no more than one that stays.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import mqtt, { type MqttClient, Store } from 'mqtt'
import { until } from '../../cli/running.ts'
import { clientAt, createNodes } from './nodes.ts'

const MOVES = 12

it('gets and gives each message of QoS 2 once, wherever it is', async () => {
  await using nodes = await createNodes()
  const at = [await nodes.start('one'), await nodes.start('two'), await nodes.start('three')] as const
  const [mover, other] = [await nodes.backend('mover'), await nodes.backend('other')]
  const peer = await clientAt(at[0], 'other', other)
  await peer.client.subscribeAsync('devices/up', { qos: 2 })
  const got: string[] = []
  const stores = { incomingStore: new Store({ clean: false }), outgoingStore: new Store({ clean: false }) }
  let client: MqttClient | null = null

  async function move(to: number): Promise<void> {
    client?.stream.destroy()
    client?.end(true)
    const next = mqtt.connect(`mqtts://127.0.0.1:${at[to % 3]!.broker.port}`, {
      ...stores,
      ...{ clientId: 'mover', clean: false, reconnectPeriod: 0, servername: 'localhost' },
      ...{ cert: mover.certificate, key: mover.key, ca: nodes.roll.root.certificate },
    })
    next.on('error', () => {})
    next.on('message', (_topic, payload) => void got.push(String(payload)))
    await new Promise<void>(resolve => next.once('connect', () => resolve()))
    client = next
  }

  await move(0)
  await client!.subscribeAsync('devices/down', { qos: 2 })
  let isMoving = true
  const sent: string[] = []
  const sending = (async () => {
    for (let n = 0; isMoving; n += 1) {
      await peer.client.publishAsync('devices/down', String(n), { qos: 2 })
      sent.push(String(n))
      client!.publish('devices/up', `${n}`, { qos: 2 })
      await setTimeout(5)
    }
  })()
  for (let to = 1; to <= MOVES; to += 1) {
    await move(to)
    await setTimeout(60)
  }
  isMoving = false
  await sending
  await client!.publishAsync('devices/up', 'last', { qos: 2 })
  await until(async () => got.includes(sent.at(-1)!), 'all came down')
  await peer.inbox.message('last')
  assert.deepEqual(got, sent)
  const up = peer.inbox.all.map(({ payload }) => payload)
  assert.deepEqual(
    up.filter((text, place) => up.indexOf(text) !== place),
    [],
  )
  await client!.endAsync()
  await peer.client.endAsync()
})

it('may send no more for going to another node, with a stored session or without', async () => {
  await using nodes = await createNodes()
  const BURST = 20
  const settings = { deviceMessagesPerSecond: 1, deviceMessagesBurst: BURST }
  const [one, two] = [await nodes.start('one', settings), await nodes.start('two', settings)]
  const slowed = async ({ broker }: typeof one) =>
    Number(/^rollcall_devices_slowed_total (\d+)$/m.exec(await broker.metrics())?.[1])
  for (const clean of [true, false]) {
    const before = await slowed(two)
    const id = clean ? 'clean' : 'kept'
    const identity = await nodes.roll.enroll(id)
    const first = await clientAt(one, id, identity, { clean })
    for (let n = 0; n < BURST; n += 1) await first.client.publishAsync(`devices/${id}/up`, `${n}`, { qos: 1 })
    const next = await clientAt(two, id, identity, { clean })
    for (let n = 0; n < BURST; n += 1) next.client.publish(`devices/${id}/up`, `${n}`, { qos: 1 })
    await until(async () => (await slowed(two)) > before, 'the other node slows it')
    for (const { client } of [first, next]) client.end(true)
  }
})
