// The emitter hands a message to each subscriber once, and to the same subscribers as mqemitter.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import mqemitter from 'mqemitter'
import { createSubscriberEmitter } from '../../../broker/engine/subscriber-emitter.ts'

type Listener = (message: { topic: string }, done: () => void) => void

const level = fc.constantFrom('', 'a', 'b', '$c')
const topic = fc.array(level, { minLength: 1, maxLength: 4 }).map(levels => levels.join('/'))
const filter = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { minLength: 1, maxLength: 4 }), fc.boolean())
  .map(([levels, open]) => [...levels, ...(open ? ['#'] : [])].join('/'))
  .filter(text => text !== '')
const turn = () => new Promise(resolve => setImmediate(resolve))

/** Whose listener was called, in the order of calls. */
function listener(name: string, heard: string[]): Listener {
  return (_message, done) => {
    heard.push(name)
    done()
  }
}

test('a message reaches the subscribers that it reaches by mqemitter, each once, but for wildcards that reach into $…', async () => {
  const wanted = fc.array(fc.tuple(fc.constantFrom('x', 'y', 'z'), filter), { maxLength: 12 })
  await fc.assert(
    fc.asyncProperty(
      wanted,
      fc.array(fc.nat(11)),
      fc.array(topic, { maxLength: 5 }),
      async (all, left, topics) => {
        const ours = createSubscriberEmitter()
        const theirs = mqemitter({ concurrency: 0, matchEmptyLevels: true })
        const subscribers = { x: {}, y: {}, z: {} }
        const [heard, expected]: [string[], string[]] = [[], []]
        const listeners = new Map<string, [Listener, Listener]>()
        for (const [name, asked] of all) {
          if (listeners.has(`${name} ${asked}`)) continue
          const both: [Listener, Listener] = [listener(name, heard), listener(name, expected)]
          listeners.set(`${name} ${asked}`, both)
          ours.assign(both[0], subscribers[name as 'x'])
          ours.on(asked, both[0])
          theirs.on(asked, both[1] as never)
        }
        for (const at of left) {
          const [key, both] = [...listeners][at] ?? []
          if (key === undefined) continue
          ours.removeListener(key.slice(2), both![0])
          theirs.removeListener(key.slice(2), both![1] as never)
        }
        await turn()
        await turn()
        for (const one of topics.filter(text => text !== '' && !text.startsWith('$'))) {
          heard.length = 0
          expected.length = 0
          const calls = ours.calls()
          let done = 0
          ours.emit({ topic: one }, () => (done += 1))
          theirs.emit({ topic: one })
          assert.deepEqual(heard.toSorted(), [...new Set(expected)].toSorted(), one)
          assert.deepEqual([ours.calls() - calls, done, ours.current], [heard.length, 1, 0])
        }
      },
    ),
  )
})

test('a thousand filters of one subscriber that match cost one call', () => {
  const emitter = createSubscriberEmitter()
  const heard: string[] = []
  const subscriber = {}
  for (let mask = 0; mask < 1_024; mask += 1) {
    const one = listener('x', heard)
    emitter.assign(one, subscriber)
    emitter.on(Array.from({ length: 10 }, (_, bit) => (mask & (1 << bit) ? '+' : 'a')).join('/'), one)
  }
  emitter.emit({ topic: Array(10).fill('a').join('/') })
  assert.deepEqual([heard.length, emitter.calls()], [1, 1])
})

test('no wildcard reaches into $…, and a filter that names it does', () => {
  const emitter = createSubscriberEmitter()
  const heard: string[] = []
  for (const asked of ['#', '+/x', '$SYS/#', '$SYS/+']) emitter.on(asked, listener(asked, heard))
  emitter.emit({ topic: '$SYS/x' })
  assert.deepEqual(heard.toSorted(), ['$SYS/#', '$SYS/+'])
})

test('who subscribes anew in the turn in which it left stays', async () => {
  const emitter = createSubscriberEmitter()
  const heard: string[] = []
  const [old, fresh, subscriber] = [listener('old', heard), listener('fresh', heard), {}]
  for (const one of [old, fresh]) emitter.assign(one, subscriber)
  emitter.on('a', old)
  emitter.removeListener('a', old)
  emitter.on('a', fresh)
  await turn()
  emitter.emit({ topic: 'a' })
  assert.deepEqual(heard, ['fresh'])
})

test('is done once every subscriber is, and takes nothing after its end', async () => {
  const emitter = createSubscriberEmitter()
  const waiting: (() => void)[] = []
  for (const asked of ['a', '+']) emitter.on(asked, (_message: never, done: () => void) => waiting.push(done))
  let done = 0
  emitter.emit({ topic: 'a' }, () => (done += 1))
  assert.equal(emitter.current, 1)
  waiting[0]!()
  assert.equal(done, 0)
  waiting[1]!()
  assert.deepEqual([done, emitter.current], [1, 0])
  await new Promise<void>(resolve => emitter.close(resolve))
  let failed: unknown = null
  emitter.emit({ topic: 'a' }, error => (failed = error))
  assert.match(String(failed), /closed/)
})
