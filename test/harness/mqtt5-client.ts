// A device that speaks MQTT 5 over real TLS, packet by packet, and lists what it hears. Acknowledges nothing by itself.
import mqttPacket, { type IConnectPacket, type Packet } from 'mqtt-packet'
import type { Identity } from './authority.ts'
import { type Listening, openTls } from './broker.ts'
import { packetsOf } from './raw-client.ts'
import { until } from './until.ts'

/** Any packet, with what a test looks at. */
export type Heard = Packet & {
  reasonCode?: number
  sessionPresent?: boolean
  granted?: number[]
  topic?: string
  payload?: Buffer
  qos?: number
  retain?: boolean
  properties?: Record<string, unknown>
}

export type Mqtt5Client = Awaited<ReturnType<typeof speak5>>

const options = { protocolVersion: 5 as const }

/** Opens a connection and sends these bytes, or CONNECT of this kind; resolves when something came or it was closed. */
export async function speak5(
  t: Listening,
  identity: Identity,
  connect: Partial<IConnectPacket> | Buffer = {},
) {
  const socket = await openTls(t, { identity })
  socket.on('error', () => {})
  const heard: Heard[] = []
  const parser = mqttPacket.parser(options)
  parser.on('packet', packet => void heard.push(packet as Heard))
  socket.on('data', (bytes: Buffer) => void parser.parse(bytes))
  const frames = packetsOf(socket)
  const raw = (bytes: Buffer) => void socket.write(bytes)
  const say = (...packets: object[]) =>
    raw(Buffer.concat(packets.map(packet => mqttPacket.generate(packet as Packet, options))))
  const of = (cmd: string) => heard.filter(packet => packet.cmd === cmd)
  if (Buffer.isBuffer(connect)) raw(connect)
  else
    say({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: 5,
      clientId: '',
      clean: true,
      keepalive: 60,
      ...connect,
    })
  await until(() => heard.length > 0 || socket.destroyed)
  return {
    heard,
    /** The same as bytes: parsed, user properties lose their order. */
    frames,
    of,
    raw,
    say,
    connack: heard[0] as Heard | undefined,
    isClosed: () => socket.destroyed,
    /** Says it and gives the next packet of this kind. */
    async ask(packet: object | Buffer, cmd: string): Promise<Heard> {
      const before = of(cmd).length
      if (Buffer.isBuffer(packet)) raw(packet)
      else say(packet)
      await until(() => of(cmd).length > before || socket.destroyed)
      const answer = of(cmd)[before]
      if (answer === undefined) throw new Error(`no ${cmd} came: ${JSON.stringify(heard.at(-1))}`)
      return answer
    },
    async next(cmd: string, count = 1): Promise<Heard> {
      await until(() => of(cmd).length >= count)
      return of(cmd)[count - 1]!
    },
    async closed(): Promise<void> {
      await until(() => socket.destroyed)
    },
    async cut(): Promise<void> {
      socket.destroy()
      await until(() => socket.closed)
    },
    async leave(packet: object = {}): Promise<void> {
      say({ cmd: 'disconnect', reasonCode: 0, ...packet })
      socket.end()
      await until(() => socket.closed)
    },
  }
}
