// What a try-out does to the messages of others: nothing.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Message } from '../../../broker/mqtt/message.ts'
import type { Principal, RightsResolver } from '../../../broker/mqtt/rights-resolver.ts'
import { createTryouts } from '../../../broker/mqtt/tryouts.ts'

const message: Message = {
  ...{ topic: 'a/b', payload: Buffer.from('x'), qos: 0, retain: false, publisher: null },
  ...{ properties: null, expiresAt: null, sequence: 1 },
}

test('what fails while a message is shown ends that try-out, and not the delivery of the message', () => {
  const taps = new Set<{ matches(topic: string): boolean; deliver(message: Message): void }>()
  const rightsOf = (() => ({ subscribe: () => true, receive: () => true })) as unknown as RightsResolver
  const tryouts = createTryouts({
    router: { taps, publish: () => assert.fail('nothing is published') },
    index: { *retainedMatching() {} },
    rightsOf,
    mayShow: () => true,
    bounds: { topicBytesMax: 100, topicLevelsMax: 10 },
    interest: null,
    nextSequence: () => 1,
    now: () => 0,
  })
  const ends: string[] = []
  tryouts.subscribe({
    principal: {} as Principal,
    filter: 'a/#',
    onMessage() {
      throw new Error('no longer there')
    },
    onEnd: refused => ends.push(refused),
  })
  const [tap] = taps
  assert.ok(tap !== undefined)
  assert.ok(tap.matches('a/b'))
  tap.deliver(message)
  assert.deepEqual(ends, ['unavailable'])
  assert.equal(taps.size, 0)
})
