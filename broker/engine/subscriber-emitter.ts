// The emitter that aedes routes by (its option `mq`): a message is handed to each subscriber once, where mqemitter hands it over for
// every filter that matches. Who a listener belongs to may be told; one that belongs to nobody is a subscriber by itself.
import { createSubscriptionTree } from './subscription-tree.ts'

type Done = (error?: Error | null) => void
type Message = { topic: string }
type Listener = (this: unknown, message: never, done: () => void) => void

export type SubscriberEmitter = {
  /** Messages that some subscriber has not called back for. */
  current: number
  /** As mqemitter: `done` is called in a later turn. */
  on(filter: string, listener: Listener, done?: () => void): void
  removeListener(filter: string, listener: Listener, done?: () => void): void
  /** `done` is called once every subscriber has called back. */
  emit(message: Message, done?: Done): void
  close(done: () => void): void
  /** Listeners of one subscriber get a message once between them. */
  assign(listener: object, subscriber: object): void
  /** How often a listener was called: what a message costs. */
  calls(): number
}

export function createSubscriberEmitter(): SubscriberEmitter {
  const tree = createSubscriptionTree<object, Listener>(one => one)
  const subscribers = new WeakMap<object, object>()
  const subscriberOf = (listener: object) => subscribers.get(listener) ?? listener
  let closed = false
  let calls = 0

  const emitter: SubscriberEmitter = {
    current: 0,
    on(filter, listener, done) {
      tree.add(filter, subscriberOf(listener), listener)
      if (done !== undefined) setImmediate(done)
    },
    removeListener(filter, listener, done) {
      setImmediate(() => {
        // Its subscriber may have subscribed anew meanwhile.
        const subscriber = subscriberOf(listener)
        if (tree.get(filter, subscriber) === listener) tree.remove(filter, subscriber)
        done?.()
      })
    },
    emit(message, done = nothing) {
      if (closed) return done(new Error('the emitter is closed'))
      const found = tree.matching(message.topic)
      let left = found.size
      if (left === 0) return done()
      emitter.current += 1
      const oneDone = () => {
        left -= 1
        if (left > 0) return
        emitter.current -= 1
        done()
      }
      calls += left
      for (const listener of found.values()) listener.call(emitter, message as never, oneDone)
    },
    close(done) {
      closed = true
      setImmediate(done)
    },
    assign: (listener, subscriber) => void subscribers.set(listener, subscriber),
    calls: () => calls,
  }
  return emitter
}

function nothing(): void {}
