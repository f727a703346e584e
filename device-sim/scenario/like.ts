// `--like`: what a service is known to do otherwise than the standard allows, held against a plan before it runs there, and the
// few things its clients send. Pure. Sources are in docs/simulator.md. Does not know where the service is.
import { BadUsage } from '../failure.ts'
import type { Plan } from './plan.ts'
import { filled } from './topic.ts'

type Service = {
  qosMax: 0 | 1 | 2
  keepAliveSecondsMax: number
  slashesMax: number
  topicBytesMax: number
  clientIdBytesMax: number
  payloadBytesMax: number
  /** Of one connection. */
  publishesPerSecondMax: number
  subscriptionsMax: number
  unacknowledgedMax: number
  /** Offered over TLS, where no other is given. */
  alpn: string | null
  /** Where no other is given; `%c` is the client ID. */
  username: string | null
}

const services = {
  'aws-iot': {
    qosMax: 1,
    keepAliveSecondsMax: 1_200,
    slashesMax: 7,
    topicBytesMax: 256,
    clientIdBytesMax: 128,
    payloadBytesMax: 131_072,
    publishesPerSecondMax: 100,
    subscriptionsMax: 50,
    unacknowledgedMax: 100,
    alpn: 'x-amzn-mqtt-ca',
    // Its SDK sends one of this form, with its own name, to every host.
    username: '?SDK=rollcall-sim',
  },
  'azure-event-grid': {
    qosMax: 1,
    keepAliveSecondsMax: 1_160,
    slashesMax: 65_535,
    topicBytesMax: 65_535,
    clientIdBytesMax: 65_535,
    payloadBytesMax: Number.POSITIVE_INFINITY,
    publishesPerSecondMax: 1_000,
    subscriptionsMax: Number.POSITIVE_INFINITY,
    unacknowledgedMax: 1_000,
    alpn: null,
    username: '%c',
  },
  emqx: {
    qosMax: 2,
    keepAliveSecondsMax: 65_535,
    slashesMax: 127,
    topicBytesMax: 65_535,
    clientIdBytesMax: 65_535,
    payloadBytesMax: 1_048_576,
    publishesPerSecondMax: Number.POSITIVE_INFINITY,
    subscriptionsMax: Number.POSITIVE_INFINITY,
    unacknowledgedMax: Number.POSITIVE_INFINITY,
    alpn: null,
    username: null,
  },
} as const satisfies Record<string, Service>

const serviceNames = Object.keys(services) as (keyof typeof services)[]

type LikeFlags = { broker?: string; alpn?: string; username?: string }

/** What the flags become; every part of the plan that the service refuses is a problem. @throws BadUsage */
export function flagsLike<Flags extends LikeFlags>(
  name: string,
  plan: Plan,
  flags: Flags,
): Flags & LikeFlags {
  if (!Object.hasOwn(services, name))
    throw new BadUsage([`--like: expected ${serviceNames.join(', ')}, got ${JSON.stringify(name)}`])
  const service: Service = services[name as keyof typeof services]
  const problems = plan.groups.flatMap(group =>
    problemsOf(group, service).map(text => `--like ${name}: ${text}`),
  )
  if (problems.length > 0) throw new BadUsage(problems)
  const tls = flags.broker === undefined || /^(mqtts|wss):/.test(flags.broker)
  return {
    ...flags,
    ...(flags.alpn === undefined && service.alpn !== null && tls ? { alpn: service.alpn } : {}),
    ...(flags.username === undefined && service.username !== null ? { username: service.username } : {}),
  }
}

function problemsOf(group: Plan['groups'][number], service: Service): string[] {
  const { name, publish, subscribe, session, clientIdTemplate } = group
  const problems: string[] = []
  const more = (what: string, value: number, most: number): void => {
    if (value > most)
      problems.push(`group ${name}: ${what} is ${value}, and the service takes ${most} at most`)
  }
  const id = filled(group.idTemplate, { device: '', n: '00001', group: name, attributes: {} })
  const fill = (text: string): string =>
    filled(text, { device: id, n: '00001', group: name, attributes: group.attributes })
  const topics = [...publish.map(({ topic }) => topic), ...subscribe.map(({ filter }) => filter)]
  if (session.will) topics.push(session.will.topic)
  for (const topic of topics) {
    const text = fill(topic)
    more(`the number of slashes in ${topic}`, text.split('/').length - 1, service.slashesMax)
    more(`the length of ${topic}`, Buffer.byteLength(text), service.topicBytesMax)
  }
  const qos = [...publish, ...subscribe, ...(session.will ? [session.will] : [])].map(one => one.qos)
  more('the QoS', Math.max(0, ...qos), service.qosMax)
  more('the keep-alive in seconds', session.keepAliveSeconds, service.keepAliveSecondsMax)
  more('the number of subscriptions', subscribe.length, service.subscriptionsMax)
  more('the number of messages in flight', session.inFlightMax, service.unacknowledgedMax)
  more('the length of client IDs', Buffer.byteLength(fill(clientIdTemplate)), service.clientIdBytesMax)
  for (const { payload } of publish) more('the payload', payload.random?.bytes ?? 0, service.payloadBytesMax)
  const rate = publish.reduce((sum, { everyMs }) => sum + (everyMs > 0 ? 1_000 / everyMs : 0), 0)
  more('the messages of a device per second', rate, service.publishesPerSecondMax)
  return problems
}
