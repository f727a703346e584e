// What a clause is played with: connections as one client ID, topics of its own, and the usual exchanges in one line each.
// Does not know clauses.
import { setTimeout as sleep } from 'node:timers/promises'
import type { IConnectPacket, IPublishPacket, ISubscription, QoS } from 'mqtt-packet'
import {
  ClauseFailed,
  type Connack,
  NotApplicable,
  openPeer,
  type Peer,
  type Version,
  type Where,
} from './peer.ts'

export type Message = { topic: string; payload: string; packet: IPublishPacket }

export type ConnectOptions = {
  clean?: boolean
  keepalive?: number
  clientId?: string
  will?: NonNullable<IConnectPacket['will']>
  properties?: NonNullable<IConnectPacket['properties']>
}

export type Trial = {
  version: Version
  clientId: string
  /** The topics that a clause may use begin with it. */
  base: string
  patienceMs: number
  /** TCP and TLS alone. */
  open(): Promise<Peer>
  /** CONNECT as any client sends it; a session of before is gone unless `clean` is false. @throws unless it is admitted. */
  connect(options?: ConnectOptions): Promise<{ peer: Peer; connack: Connack }>
  /** A trial of another client on the same topics. @throws NotApplicable where there is none. */
  other(): Trial
  /** Closes what a clause left open. */
  end(): Promise<void>
}

export function connectPacket(
  version: Version,
  clientId: string,
  where: Where,
  options: ConnectOptions = {},
) {
  const { clean = true, keepalive = 60, will, properties } = options
  const packet: IConnectPacket = {
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: version,
    clientId: options.clientId ?? clientId,
    clean,
    keepalive,
    ...(where.username === null ? {} : { username: where.username }),
    ...(where.password === null ? {} : { password: Buffer.from(where.password) }),
    ...(will ? { will } : {}),
    ...(version === 5 && properties ? { properties } : {}),
  }
  return packet
}

/** The client that a trial is played as. */
export type Client = Pick<Where, 'credentials' | 'username' | 'password'> & { clientId: string }

/** `partner` is the other client of clauses that need two; null where there is no further identity. */
export function createTrial(
  { broker, patienceMs }: Pick<Where, 'broker' | 'patienceMs'>,
  version: Version,
  { clientId, ...proof }: Client,
  base: string,
  partner: Client | null,
): Trial {
  const where: Where = { broker, patienceMs, ...proof }
  const peers: Peer[] = []
  let keepsSession = false
  let other: Trial | null = null
  const trial: Trial = {
    version,
    clientId,
    base,
    patienceMs: where.patienceMs,
    async open() {
      const peer = await openPeer(where, version, clientId)
      peers.push(peer)
      return peer
    },
    async connect(options = {}) {
      const peer = await trial.open()
      keepsSession ||= options.clean === false
      peer.send(connectPacket(version, clientId, where, options))
      const connack = (await peer.expect('connack')) as Connack
      const code = connack.reasonCode ?? connack.returnCode ?? 0
      if (code !== 0) throw new ClauseFailed(`CONNACK ${code} to an ordinary CONNECT`)
      return { peer, connack }
    },
    other() {
      if (!partner) throw new NotApplicable('there is no other client to try it with')
      other ??= createTrial({ broker, patienceMs }, version, partner, base, null)
      return other
    },
    async end() {
      await other?.end()
      await Promise.all(peers.map(peer => peer.leave().catch(() => {})))
      if (!keepsSession) return
      // The next trial of this client ID is to find no session, and no message of this one.
      keepsSession = false
      await trial
        .connect()
        .then(({ peer }) => peer.leave())
        .catch(() => {})
    },
  }
  return trial
}

const NOTICED_MS = 100

/** Gone without a word, and long enough ago for a broker to see it. */
export async function lose(peer: Peer): Promise<void> {
  peer.drop()
  await sleep(NOTICED_MS)
}

let lastId = 0
export function nextId(): number {
  lastId = (lastId % 60_000) + 1
  return lastId
}

/** @returns the granted QoS or reason code of each filter. @throws NotApplicable where `mayRefuse` is not set and one is refused. */
export async function subscribe(
  peer: Peer,
  filters: string | ISubscription[],
  qos: QoS = 0,
  properties?: Record<string, unknown>,
): Promise<number[]> {
  const messageId = nextId()
  const subscriptions = typeof filters === 'string' ? [{ topic: filters, qos }] : filters
  peer.send({ cmd: 'subscribe', messageId, subscriptions, ...(properties ? { properties } : {}) } as never)
  const suback = await peer.expect('suback')
  if (suback.messageId !== messageId)
    throw new ClauseFailed(`SUBACK for ${suback.messageId}, not ${messageId}`)
  const granted = suback.granted.map(Number)
  if (granted.every(code => code >= 0x80))
    throw new NotApplicable('the broker refuses this client its own topics')
  return granted
}

type PublishOptions = {
  qos?: QoS
  retain?: boolean
  dup?: boolean
  properties?: IPublishPacket['properties']
}

/** With all acknowledgements. @throws NotApplicable where the broker refuses the message. */
export async function publish(
  peer: Peer,
  topic: string,
  payload: string,
  { qos = 0, retain = false, dup = false, properties }: PublishOptions = {},
): Promise<void> {
  const messageId = nextId()
  peer.send({
    cmd: 'publish',
    topic,
    payload,
    qos,
    retain,
    dup,
    ...(qos > 0 ? { messageId } : {}),
    ...(properties && peer.version === 5 ? { properties } : {}),
  } as IPublishPacket)
  if (qos === 1) acknowledged(await peer.expect('puback'), messageId)
  if (qos === 2) {
    acknowledged(await peer.expect('pubrec'), messageId)
    peer.send({ cmd: 'pubrel', messageId })
    acknowledged(await peer.expect('pubcomp'), messageId)
  }
}

function acknowledged(
  packet: { cmd: string; messageId?: number; reasonCode?: number },
  messageId: number,
): void {
  if (packet.messageId !== messageId)
    throw new ClauseFailed(`${packet.cmd.toUpperCase()} for ${packet.messageId}, not ${messageId}`)
  if ((packet.reasonCode ?? 0) >= 0x80)
    throw new NotApplicable('the broker refuses this client its own topics')
}

/** The next message, acknowledged. */
export async function receive(peer: Peer): Promise<Message> {
  const packet = await peer.expect('publish')
  const { messageId = 0, qos } = packet
  if (qos === 1) peer.send({ cmd: 'puback', messageId })
  if (qos === 2) {
    peer.send({ cmd: 'pubrec', messageId })
    await peer.expect('pubrel')
    peer.send({ cmd: 'pubcomp', messageId })
  }
  return { topic: packet.topic, payload: String(packet.payload), packet }
}

/** All messages until one that is sent now comes back: what a broker has not sent by then, it does not send. */
export async function receiveAll(peer: Peer, { base }: Trial): Promise<Message[]> {
  const sentinel = `${base}/sentinel${nextId()}`
  await subscribe(peer, sentinel)
  await publish(peer, sentinel, 'end')
  const messages: Message[] = []
  for (;;) {
    const message = await receive(peer)
    if (message.topic === sentinel) return messages
    messages.push(message)
  }
}

export function equal(actual: unknown, expected: unknown, what: string): void {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)]
  if (a !== b) throw new ClauseFailed(`${what}: ${a} instead of ${b}`)
}

export function holds(condition: boolean, what: string): void {
  if (!condition) throw new ClauseFailed(what)
}
