// A consumer that acknowledges nothing by itself: what it was sent, packet by packet, and acknowledgements when the test says so.
import type { TLSSocket } from 'node:tls'
import { type IPublishPacket, type Packet, parser } from 'mqtt-packet'
import type { Identity } from './authority.ts'
import type { TestBroker } from './broker.ts'
import { acknowledgement, rawSession, subscribePacket } from './raw-client.ts'
import { until } from './until.ts'

export type SilentWorker = {
  socket: TLSSocket
  /** PUBLISH alone, as they came. */
  messages: IPublishPacket[]
  /** What came beside them. */
  others: Packet[]
  payloads(): string[]
  /** Answers the message at this place with PUBACK (4), PUBREC (5) or PUBCOMP (7). */
  answer(kind: 4 | 5 | 7, at: number): void
}

/** A clean session that is subscribed, to nothing where no filter is given. */
export async function silentWorker(
  t: TestBroker,
  id: string,
  identity: Identity,
  { filter = '', qos = 1 }: { filter?: string; qos?: 0 | 1 | 2 } = {},
): Promise<SilentWorker> {
  const socket = await rawSession(t, identity, { clientId: id, keepalive: 0 })
  const messages: IPublishPacket[] = []
  const others: Packet[] = []
  const packets = parser()
  packets.on('packet', packet => {
    if (packet.cmd === 'publish') messages.push(packet)
    else others.push(packet)
  })
  socket.on('error', () => {})
  socket.on('data', (chunk: Buffer) => packets.parse(chunk))
  if (filter !== '') {
    socket.write(subscribePacket(1, [filter], qos))
    await until(() => others.some(({ cmd }) => cmd === 'suback'))
  }
  return {
    socket,
    messages,
    others,
    payloads: () => messages.map(({ payload }) => String(payload)),
    answer: (kind, at) => void socket.write(acknowledgement(kind, messages[at]!.messageId!)),
  }
}
