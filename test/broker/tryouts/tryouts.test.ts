// What a try-out does to the messages of others: nothing.
import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import type { Message, RetainedMessage } from '../../../broker/mqtt/message.ts'
import type { Principal, RightsResolver } from '../../../broker/mqtt/rights-resolver.ts'
import { createTryouts } from '../../../broker/mqtt/tryouts.ts'

const message: Message = {
  ...{ topic: 'a/b', payload: Buffer.from('x'), qos: 0, retain: false, publisher: null },
  ...{ properties: null, expiresAt: null, sequence: 1 },
}

const rightsOf = (() => ({ subscribe: () => true, receive: () => true })) as unknown as RightsResolver
let taps: Set<{ matches(topic: string): boolean; deliver(message: Message): void }>
let followed: string[]
beforeEach(() => {
  taps = new Set()
  followed = []
})

const open = (retained: readonly RetainedMessage[] = []) =>
  createTryouts({
    router: { taps, publish: () => assert.fail('nothing is published') },
    index: { retainedMatching: () => retained[Symbol.iterator]() as Generator<RetainedMessage | null> },
    rightsOf,
    mayShow: () => true,
    bounds: { topicBytesMax: 100, topicLevelsMax: 10 },
    interest: {
      follow: filter => void followed.push(filter),
      unfollow: filter => void followed.splice(followed.indexOf(filter), 1),
    },
    nextSequence: () => 1,
    now: () => 0,
  })
const failing = (ends: string[]) => ({
  principal: {} as Principal,
  filter: 'a/#',
  onMessage() {
    throw new Error('no longer there')
  },
  onEnd: (refused: string) => void ends.push(refused),
})

test('what fails while a message is shown ends that try-out, and not the delivery of the message', () => {
  const ends: string[] = []
  open().subscribe(failing(ends))
  const [tap] = taps
  assert.ok(tap !== undefined)
  assert.ok(tap.matches('a/b'))
  tap.deliver(message)
  assert.deepEqual([ends, taps.size, followed], [['unavailable'], 0, []])
})

test('what fails while a retained message is shown leaves nothing of the try-out behind', () => {
  const retained = { ...message, retain: true, at: 0 } as RetainedMessage
  assert.throws(() => open([retained]).subscribe(failing([])), /no longer there/)
  assert.deepEqual([taps.size, followed], [0, []])
})
