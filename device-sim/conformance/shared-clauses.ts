// Clauses of shared subscriptions: which member gets a message, how, and what becomes of it when the member is gone. MQTT 5 §4.8.2.
import type { Clause } from './clause.ts'
import { NotApplicable, type Peer } from './peer.ts'
import {
  type ConnectOptions,
  equal,
  lose,
  nextId,
  publish,
  receive,
  receiveAll,
  subscribe,
  type Trial,
} from './trial.ts'
import { connectTwo, received } from './two-clients-clauses.ts'

const MESSAGES = 6
const keep = { clean: false, properties: { sessionExpiryInterval: 60 } }
const only = (id: string): Clause['id'] => ({ 5: id })

/** Two clients. @throws NotApplicable where the broker has no shared subscriptions. */
async function connectMembers(trial: Trial, options: ConnectOptions = {}) {
  const two = await connectTwo(trial, options)
  await join(two.first, trial, 'probe', 'none', 0)
  return two
}

async function join(
  peer: Peer,
  { base }: Trial,
  group: string,
  topic: string,
  qos: 0 | 1 | 2,
): Promise<void> {
  const messageId = nextId()
  const subscriptions = [{ topic: `$share/${group}/${base}/${topic}`, qos }]
  peer.send({ cmd: 'subscribe', messageId, subscriptions } as never)
  const code = Number((await peer.expect('suback')).granted[0])
  if (code === 0x9e) throw new NotApplicable('no shared subscriptions')
  if (code >= 0x80) throw new NotApplicable('the broker refuses this client a shared subscription')
}

const numbers = Array.from({ length: MESSAGES }, (_, turn) => `${turn} 1`)

async function publishAll(peer: Peer, { base }: Trial): Promise<void> {
  for (let turn = 0; turn < MESSAGES; turn++) await publish(peer, `${base}/a`, String(turn), { qos: 1 })
}

export const sharedClauses: Clause[] = [
  {
    id: only('§4.8.2'),
    what: 'of the members of a shared subscription one gets each message',
    async play(trial) {
      const { first, second, other } = await connectMembers(trial)
      for (const peer of [first, second]) await join(peer, trial, 'g', 'a', 1)
      await publishAll(first, trial)
      const got = [...(await received(first, trial)), ...(await received(second, other))]
      equal(got.toSorted(), numbers, 'the deliveries')
    },
  },
  {
    id: only('§4.8.2'),
    what: 'each of two groups gets every message',
    async play(trial) {
      const { first, second, other } = await connectMembers(trial)
      await join(first, trial, 'g', 'a', 1)
      await join(second, trial, 'h', 'a', 1)
      await publishAll(first, trial)
      equal(
        [await received(first, trial), await received(second, other)],
        [numbers, numbers],
        'the deliveries',
      )
    },
  },
  {
    id: only('§4.8.2'),
    what: 'the only member of a group gets a message again where it also subscribes by itself',
    async play(trial) {
      const { first, second } = await connectMembers(trial)
      await join(first, trial, 'g', 'a', 1)
      await subscribe(first, `${trial.base}/a`, 1)
      await publish(second, `${trial.base}/a`, 'x', { qos: 1 })
      equal(await received(first, trial), ['x 1', 'x 1'], 'the deliveries')
    },
  },
  {
    id: only('MQTT-4.8.2-3'),
    what: 'a member gets messages at the QoS that its subscription was granted',
    async play(trial) {
      const { first, second } = await connectMembers(trial)
      await join(first, trial, 'g', 'a', 0)
      await publish(second, `${trial.base}/a`, 'x', { qos: 1 })
      equal(await received(first, trial), ['x 0'], 'the deliveries')
    },
  },
  {
    id: only('§4.8.2'),
    what: 'a shared subscription gets no retained messages when it is made',
    async play(trial) {
      const { first } = await connectMembers(trial)
      await publish(first, `${trial.base}/a`, 'kept', { qos: 1, retain: true })
      await join(first, trial, 'g', 'a', 1)
      const got = await received(first, trial)
      await publish(first, `${trial.base}/a`, '', { qos: 1, retain: true })
      equal(
        got.filter(text => text.startsWith('kept')),
        [],
        'the retained messages',
      )
    },
  },
  {
    id: only('MQTT-3.10.4-1'),
    what: 'a member that unsubscribes gets no more, and the others get all',
    async play(trial) {
      const { first, second, other } = await connectMembers(trial)
      for (const peer of [first, second]) await join(peer, trial, 'g', 'a', 1)
      const unsubscriptions = [`$share/g/${trial.base}/a`]
      second.send({ cmd: 'unsubscribe', messageId: nextId(), unsubscriptions })
      await second.expect('unsuback')
      await publishAll(first, trial)
      equal([await received(first, trial), await received(second, other)], [numbers, []], 'the deliveries')
    },
  },
  {
    id: only('§4.8.2'),
    what: 'a member whose session has ended gets none, and the others get all',
    async play(trial) {
      const { first, second } = await connectMembers(trial)
      for (const peer of [first, second]) await join(peer, trial, 'g', 'a', 1)
      await second.leave()
      await publishAll(first, trial)
      equal(await received(first, trial), numbers, 'the deliveries')
    },
  },
  {
    id: only('MQTT-4.8.2-4'),
    what: 'a QoS 2 message that a member did not finish is finished with it when it is back',
    async play(trial) {
      const { first, second, other } = await connectMembers(trial, keep)
      await join(first, trial, 'g', 'a', 2)
      await publish(second, `${trial.base}/a`, 'x', { qos: 2 })
      const { messageId, qos } = await first.expect('publish')
      if (qos !== 2) throw new NotApplicable('no QoS 2 for shared subscriptions')
      await join(second, trial, 'g', 'a', 2)
      await lose(first)
      equal(await received(second, other), [], 'the deliveries to another member')
      const { peer: back } = await trial.connect(keep)
      const again = await receive(back)
      equal([again.payload, again.packet.messageId], ['x', messageId], 'the message and its packet ID')
    },
  },
  {
    id: only('MQTT-4.8.2-6'),
    what: 'a message that a member refuses is not sent to another',
    async play(trial) {
      const { first, second, other } = await connectMembers(trial)
      await join(first, trial, 'g', 'a', 1)
      await publish(second, `${trial.base}/a`, 'x', { qos: 1 })
      const { messageId = 0 } = await first.expect('publish')
      await join(second, trial, 'g', 'a', 1)
      first.send({ cmd: 'puback', messageId, reasonCode: 0x83 })
      equal((await receiveAll(first, trial)).length, 0, 'deliveries to the one that refused it')
      equal(await received(second, other), [], 'the deliveries to another member')
    },
  },
]
