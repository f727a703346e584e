// A device that says what MQTT packets it is told to over real TLS, in one write where asked, and lists what it hears.
// Acknowledges every message, unless told to be silent.
import mqttPacket, { type Packet } from 'mqtt-packet'
import type { Identity } from './authority.ts'
import { connectPacket, type Listening, openTls } from './broker.ts'
import { packetsOf } from './raw-client.ts'
import { until } from './until.ts'

export type QoS = 0 | 1 | 2
export type Subscription = { topic: string; qos: QoS }
export type Message = {
  topic: string
  qos: QoS
  payload: string
  retain: boolean
  dup: boolean
  messageId: number | undefined
}

export type Speaking = Awaited<ReturnType<typeof speak>>

export async function speak(
  t: Listening,
  identity: Identity,
  connect: NonNullable<Parameters<typeof connectPacket>[0]>,
  { silent = false } = {},
) {
  const socket = await openTls(t, { identity })
  const packets = packetsOf(socket)
  const messages: Message[] = []
  /** What came, by its name and identifier: `puback 7`. */
  const heard: string[] = []
  let seen = 0
  const parser = mqttPacket.parser()
  parser.on('packet', packet => {
    const { cmd, messageId } = packet
    heard.push(messageId === undefined ? cmd : `${cmd} ${messageId}`)
    if (cmd === 'publish') {
      const { topic, qos, retain, dup } = packet
      messages.push({ topic, qos, payload: packet.payload.toString(), retain, dup, messageId })
      if (qos > 0 && !silent) say({ cmd: qos === 1 ? 'puback' : 'pubrec', messageId: messageId! })
    } else if (cmd === 'pubrel' && !silent) say({ cmd: 'pubcomp', messageId: messageId! })
    else if (cmd === 'pubrec' && !silent) say({ cmd: 'pubrel', messageId: messageId! })
  })
  socket.on('data', () => {
    for (const { bytes } of packets.slice(seen)) parser.parse(bytes)
    seen = packets.length
  })
  function say(...said: Packet[]): void {
    socket.write(Buffer.concat(said.map(one => mqttPacket.generate(one))))
  }
  const count = (kind: number) => packets.filter(one => one.kind === kind).length
  socket.write(connectPacket(connect))
  await until(() => packets.length > 0 || socket.destroyed)
  return {
    messages,
    heard,
    packets,
    say,
    /** How many of this kind have come. */
    count,
    isClosed: () => socket.destroyed,
    async subscribe(subscriptions: Subscription[]): Promise<number[]> {
      const before = count(9)
      say({ cmd: 'subscribe', messageId: 1, subscriptions } as Packet)
      await until(() => count(9) > before || socket.destroyed)
      return [
        ...packets
          .filter(({ kind }) => kind === 9)
          .at(-1)!
          .bytes.subarray(4),
      ]
    },
    /** Resolves when all that was said before is answered. */
    async ping(): Promise<void> {
      const before = count(13)
      say({ cmd: 'pingreq' })
      await until(() => count(13) > before || socket.destroyed)
    },
    async cut(): Promise<void> {
      socket.destroy()
      await until(() => socket.closed)
    },
    async end(): Promise<void> {
      socket.end(Buffer.from([0xe0, 0]))
      await until(() => socket.destroyed)
    },
  }
}
