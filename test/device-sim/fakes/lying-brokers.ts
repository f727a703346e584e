// Two brokers that break the standard all over: one takes everything, never closes and never delivers; one hangs up on the
// first packet after CONNECT. Whatever a clause asks for, one of them does not do.
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { generate, type Packet, parser } from 'mqtt-packet'

type Answer = (packet: Packet, answer: (packet: Packet) => void, socket: Socket) => void

async function start(answerTo: Answer) {
  const sockets = new Set<Socket>()
  const server = createServer(socket => {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    const read = parser()
    let protocolVersion = 4
    const send = (packet: Packet): void => void socket.write(generate(packet, { protocolVersion }))
    read.on('packet', packet => {
      if (packet.cmd === 'connect') protocolVersion = packet.protocolVersion === 5 ? 5 : 4
      answerTo(packet, send, socket)
    })
    // Takes what is malformed, too.
    read.on('error', () => send({ cmd: 'connack', returnCode: 0, reasonCode: 0, sessionPresent: true }))
    socket.on('data', (bytes: Buffer) => void read.parse(bytes))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.dispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

const admitted: Packet = {
  cmd: 'connack',
  returnCode: 0,
  reasonCode: 0,
  sessionPresent: true,
  properties: { topicAliasMaximum: 10 },
}

/** Says yes to everything, tells of a session that there is not, and hands nothing on. */
export const startYesSayer = () =>
  start((packet, answer) => {
    const { messageId = 0 } = packet
    if (packet.cmd === 'connect') answer(admitted)
    if (packet.cmd === 'pingreq') answer({ cmd: 'pingresp' })
    if (packet.cmd === 'publish' && packet.qos === 1) answer({ cmd: 'puback', messageId })
    if (packet.cmd === 'publish' && packet.qos === 2) answer({ cmd: 'pubrec', messageId })
    if (packet.cmd === 'pubrel') answer({ cmd: 'pubcomp', messageId })
    if (packet.cmd === 'unsubscribe') answer({ cmd: 'unsuback', messageId, granted: [0, 0] } as Packet)
    if (packet.cmd === 'subscribe') {
      const granted = packet.subscriptions.length === 0 ? [0] : packet.subscriptions.map(({ qos }) => qos & 1)
      answer({ cmd: 'suback', messageId, granted } as Packet)
    }
  })

/** Acknowledges at once, and hands each message to its own sender so many milliseconds later. */
export const startLateDeliverer = (ms: number) =>
  start((packet, answer) => {
    const { messageId = 0 } = packet
    if (packet.cmd === 'connect') answer({ ...admitted, sessionPresent: false } as Packet)
    if (packet.cmd === 'subscribe') answer({ cmd: 'suback', messageId, granted: [0] })
    if (packet.cmd !== 'publish') return
    answer({ cmd: 'puback', messageId })
    const late = { ...packet, qos: 0 as const, dup: false, retain: false }
    setTimeout(() => answer(late), ms).unref()
  })

/** Lets everybody in, and ends the connection at whatever comes then. */
export const startHangUp = () =>
  start((packet, answer, socket) => {
    if (packet.cmd === 'connect') answer({ ...admitted, sessionPresent: false } as Packet)
    else socket.destroy()
  })
