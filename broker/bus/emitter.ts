// An emitter of mqemitter's interface over NATS core: what is emitted reaches the listeners of this process at once, and those of every
// other process that follows its topic. Keeps nothing and promises nothing: NATS core is at most once.
import type { NatsConnection, Subscription } from '@nats-io/transport-node'
import MQEmitter, { type MQEmitter as Emitter, type Message } from 'mqemitter'
import { createFrames } from './frames.ts'
import { longSubject, mqttForm, subjectOf, subjectsFor } from './subjects.ts'

/** How messages are bytes. `decode` gives null for bytes that are none, whatever they are; `topic` is null where they tell it. */
export type Codec = {
  encode(message: Message): Uint8Array
  decode(bytes: Uint8Array): Message | null
}

export type NatsEmitter = Emitter & {
  /** Asks other processes for what matches this filter, once for each time it is called. */
  follow(filter: string): void
  unfollow(filter: string): void
  /** To other processes alone. */
  send(message: Message): void
}

export type NatsEmitterOptions = Parameters<typeof MQEmitter>[0] & {
  connection: Pick<NatsConnection, 'publish' | 'subscribe' | 'isClosed'>
  codec: Codec
  /** Subjects begin with it: tokens of NATS without wildcards. */
  prefix: string
  /** Whether each listener's topic is followed; else what `follow` names alone. */
  followsListeners?: boolean
  /** Whether a message stays within this process. */
  isLocal?(message: Message): boolean
  /** A message was not sent to other processes, or what came was no message. */
  onLost?(what: 'sent' | 'received', error: unknown): void
}

/** Messages of its own do not come back: its connection must be made with `noEcho`. */
export function createNatsEmitter(options: NatsEmitterOptions): NatsEmitter {
  const { connection, codec, prefix, followsListeners = true, isLocal = () => false } = options
  const form = {
    separator: options.separator ?? mqttForm.separator,
    wildcardOne: options.wildcardOne ?? mqttForm.wildcardOne,
    wildcardSome: options.wildcardSome ?? mqttForm.wildcardSome,
  }
  const onLost = options.onLost ?? (() => {})
  const emitter = MQEmitter(options) as Emitter & { closed: boolean }
  const local = {
    on: emitter.on.bind(emitter),
    emit: emitter.emit.bind(emitter),
    removeListener: emitter.removeListener.bind(emitter),
    close: emitter.close.bind(emitter),
  }
  /** By subject: how many follow it. */
  const followed = new Map<string, { times: number; subscription: Subscription }>()

  const frames = createFrames()

  function receive(error: Error | null, { data }: { data: Uint8Array }): void {
    if (error !== null) {
      onLost('received', error)
      return
    }
    let message: Message | null = null
    try {
      const content = frames.open(data)
      if (content === 'again') return
      message = content === null ? null : codec.decode(content)
    } catch (fault) {
      onLost('received', fault)
      return
    }
    if (message === null) onLost('received', new Error('what came from the bus is no message'))
    else local.emit(message)
  }

  function follow(filter: string): void {
    for (const subject of subjectsFor(prefix, filter, form)) {
      const known = followed.get(subject)
      if (known !== undefined) known.times += 1
      else
        followed.set(subject, {
          times: 1,
          subscription: connection.subscribe(subject, { callback: receive }),
        })
    }
  }

  function unfollow(filter: string): void {
    for (const subject of subjectsFor(prefix, filter, form)) {
      const known = followed.get(subject)
      if (known === undefined) continue
      known.times -= 1
      if (known.times > 0) continue
      followed.delete(subject)
      known.subscription.unsubscribe()
    }
  }

  function send(message: Message): void {
    try {
      const subject = subjectOf(prefix, message.topic, form) ?? longSubject(prefix)
      connection.publish(subject, frames.close(codec.encode(message)))
    } catch (error) {
      onLost('sent', error) // larger than the server takes, or the connection is closed
    }
  }

  return Object.assign(emitter, {
    on(topic: string, listener: Parameters<Emitter['on']>[1], done?: () => void) {
      local.on(topic, listener, done)
      if (followsListeners) follow(topic)
      return emitter
    },
    removeListener(topic: string, listener: Parameters<Emitter['on']>[1], done?: () => void) {
      if (followsListeners) unfollow(topic)
      return local.removeListener(topic, listener, done)
    },
    emit(message: Message, done?: (error?: Error) => void) {
      const isOpen = !emitter.closed
      const result = local.emit(message, done)
      if (isOpen && !isLocal(message)) send(message)
      return result
    },
    close(done: () => void) {
      if (!connection.isClosed()) for (const { subscription } of followed.values()) subscription.unsubscribe()
      followed.clear()
      return local.close(done)
    },
    follow,
    unfollow,
    send,
  }) as unknown as NatsEmitter
}
