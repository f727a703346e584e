// Filters of one session that match the same message cost one delivery: by what the broker's process spends, beside one filter.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type ForkedBroker, forkBroker } from '../../../harness/fork.ts'
import { packetsOf, publishQos1, rawSession, subscribePacket } from '../../../harness/raw-client.ts'
import { createRoll, type Roll } from '../../../harness/roll.ts'
import { until } from '../../../harness/until.ts'

const LEVELS = 10
const FILTERS = 1_000
const MESSAGES = 1_000
const AT_ONCE = 50
const PUBLISH = 3
const PUBACK = 4
const SUBACK = 9

describe('filters that overlap', () => {
  let roll: Roll
  let broker: ForkedBroker
  before(async () => {
    roll = await createRoll()
    broker = await forkBroker(roll, { settings: { deviceMessagesBurst: 1_000_000 } })
  })
  after(async () => {
    await broker.close()
    await roll.close()
  })

  async function cpuSeconds(): Promise<number> {
    const { metrics } = await broker.measure()
    return Number(/rollcall_process_cpu_seconds_total\{process="broker"\} ([\d.]+)/.exec(metrics)?.[1])
  }

  /** Each level a name or a wildcard: all of them match the one topic. */
  function filters(id: string, count: number): string[] {
    return Array.from({ length: count }, (_, mask) => {
      const levels = Array.from({ length: LEVELS }, (_level, bit) => (mask & (1 << bit) ? '+' : 'a'))
      return `devices/${id}/${levels.join('/')}`
    })
  }

  /** A device that publishes to itself: CPU of the broker in µs per message, and how many copies came. */
  async function costOf(id: string, count: number, clean: boolean): Promise<number> {
    const device = await rawSession({ broker, roll }, await roll.enroll(id), { clientId: id, clean })
    const packets = packetsOf(device)
    const arrived = (kind: number) => packets.filter(one => one.kind === kind).length
    device.write(subscribePacket(1, filters(id, count), 1))
    await until(() => arrived(SUBACK) === 1)
    const [topic] = filters(id, 1)
    const publish = async (messages: number) => {
      for (let sent = 0; sent < messages; sent += AT_ONCE) {
        const before = packets.length
        const burst = Array.from({ length: AT_ONCE }, (_, index) => publishQos1(topic!, index + 1, 'x'))
        device.write(Buffer.concat(burst))
        await until(() => packets.length === before + 2 * AT_ONCE)
        for (const { kind, bytes } of packets.slice(before))
          if (kind === PUBLISH) device.write(Buffer.concat([Buffer.from([0x40, 2]), identifierOf(bytes)]))
      }
    }
    await publish(AT_ONCE)
    const before = await cpuSeconds()
    await publish(MESSAGES)
    const spent = (await cpuSeconds()) - before
    assert.deepEqual(
      [arrived(PUBLISH), arrived(PUBACK)],
      [MESSAGES + AT_ONCE, MESSAGES + AT_ONCE],
      'one copy of each',
    )
    device.destroy()
    return (spent / MESSAGES) * 1e6
  }

  for (const clean of [true, false]) {
    test(`cost what one costs, and a look-up more, ${clean ? 'clean' : 'kept'} session`, async t => {
      const kind = clean ? 'clean' : 'kept'
      await costOf(`warm-${kind}`, 1, clean)
      const one = await costOf(`one-${kind}`, 1, clean)
      const many = await costOf(`many-${kind}`, FILTERS, clean)
      t.diagnostic(`${one.toFixed(0)} µs with one filter, ${many.toFixed(0)} µs with ${FILTERS}`)
      assert.ok(many < 2 * one + 300, `${many} µs with ${FILTERS} filters, ${one} µs with one`)
    })
  }
})

function identifierOf(publish: Buffer): Buffer {
  const topicAt = publish[1]! & 0x80 ? 3 : 2
  const at = topicAt + 2 + publish.readUInt16BE(topicAt)
  return publish.subarray(at, at + 2)
}
