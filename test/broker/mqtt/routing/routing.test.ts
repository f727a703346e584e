// Messages that come in one piece, of several QoS, retained or not: each reaches every subscriber, once and in its order.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import fc from 'fast-check'
import mqttPacket from 'mqtt-packet'
import type { Identity } from '../../../harness/authority.ts'
import { startTestBroker, type TestBroker } from '../../../harness/broker.ts'
import { packetsOf, type RawPacket, rawSession, subscribePacket } from '../../../harness/raw-client.ts'
import { until } from '../../../harness/until.ts'

type Message = { from: 0 | 1; qos: 0 | 1 | 2; retain: boolean }

const PUBLISH = 3
const SUBACK = 9
const DEADLINE_MS = 20_000

const message = fc.record({
  from: fc.constantFrom(0, 1),
  qos: fc.constantFrom(0, 1, 2),
  retain: fc.boolean(),
}) as fc.Arbitrary<Message>

describe('messages that come together', () => {
  let t: TestBroker
  let watcher: Identity
  const publishers: TLSSocket[] = []
  const acknowledged: RawPacket[][] = []
  let round = 0
  let messageId = 0

  before(async () => {
    t = await startTestBroker({ settings: { addressBurst: 10_000, addressRatePerSecond: 10_000 } })
    watcher = await t.roll.enroll('w1', { groups: ['backend'] })
    for (const id of ['p0', 'p1']) {
      const socket = await rawSession(t, await t.roll.enroll(id), { clientId: id })
      acknowledged.push(packetsOf(socket))
      publishers.push(socket)
    }
  })
  after(async () => {
    for (const socket of publishers) socket.destroy()
    await t.close()
  })

  /** Sends all of them, those of one publisher in one piece, and gives what a subscriber of these filters got. */
  async function told(
    messages: Message[],
    clean: boolean,
    qos: 0 | 1 | 2,
    filters: string[],
  ): Promise<string[]> {
    const run = `r${++round}`
    const former = await rawSession(t, watcher, { clientId: 'w1', clean: true }) // nothing of an earlier round
    former.destroy()
    const socket = await rawSession(t, watcher, { clientId: 'w1', clean })
    const packets = packetsOf(socket)
    socket.write(
      subscribePacket(
        1,
        filters.map(filter => filter.replace('RUN', run)),
        qos,
      ),
    )
    await until(() => packets.some(({ kind }) => kind === SUBACK), DEADLINE_MS)
    const pieces = publishers.map((_, from) =>
      messages.flatMap((one, index) => (one.from === from ? [asBytes(run, one, index)] : [])),
    )
    const last = { from: 0, qos: 1, retain: false } as const
    const ends = publishers.map((_, from) => asBytes(run, { ...last, from: from as 0 | 1 }, -1))
    for (const [from, socket] of publishers.entries())
      socket.write(Buffer.concat([...pieces[from]!, ends[from]!]))
    const texts = () => packets.filter(({ kind }) => kind === PUBLISH).map(payloadOf)
    await until(() => texts().filter(text => text.endsWith(' -1')).length === publishers.length, DEADLINE_MS)
    await until(() => texts().length >= messages.length + publishers.length, DEADLINE_MS).catch(() => {})
    socket.destroy()
    return texts().filter(text => !text.endsWith(' -1'))
  }

  function asBytes(run: string, { from, qos, retain }: Message, index: number): Buffer {
    messageId = (messageId % 65_535) + 1
    const topic = `devices/p${from}/${run}/${retain ? 'state' : 'x'}`
    const publish = {
      cmd: 'publish',
      topic,
      payload: `p${from} q${qos} ${index}`,
      qos,
      retain,
      dup: false,
      messageId,
    }
    const bytes = mqttPacket.generate(publish as mqttPacket.IPublishPacket)
    return qos < 2 ? bytes : Buffer.concat([bytes, mqttPacket.generate({ cmd: 'pubrel', messageId })])
  }

  const textOf = ({ from, qos }: Message, index: number) => `p${from} q${qos} ${index}`

  for (const clean of [true, false])
    for (const filters of [['devices/+/RUN/#'], ['devices/+/RUN/#', 'devices/+/RUN/+', 'devices/+/+/x']])
      test(`all reach a ${clean ? 'clean' : 'kept'} session once, through ${filters.length} filters, in order`, async () => {
        await fc.assert(
          fc.asyncProperty(fc.array(message, { minLength: 1, maxLength: 12 }), async messages => {
            const got = await told(messages, clean, 2, filters)
            assert.deepEqual([...got].sort(), messages.map(textOf).sort())
            for (const from of [0, 1])
              for (const qos of [0, 1, 2]) {
                const own = (text: string) => text.startsWith(`p${from} q${qos} `)
                assert.deepEqual(got.filter(own), messages.map(textOf).filter(own))
              }
          }),
          { numRuns: 25, endOnFailure: true },
        )
      })

  test('those that were acknowledged reach subscribers of QoS 0 too', async () => {
    const mixed = [1, 0, 1, 0, 0, 1].map(qos => ({ from: 0, qos, retain: qos === 1 }) as Message)
    assert.deepEqual((await told(mixed, true, 0, ['devices/+/RUN/#'])).sort(), mixed.map(textOf).sort())
    assert.ok(acknowledged[0]!.length > 0)
  })
})

function payloadOf({ bytes }: RawPacket): string {
  return /p\d q\d -?\d+$/.exec(bytes.toString('latin1'))?.[0] ?? ''
}
