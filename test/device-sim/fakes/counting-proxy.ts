// An observer between devices and broker that knows neither: reads MQTT on its way and counts packets by direction.
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { parser } from 'mqtt-packet'

type Counts = {
  sent: number[]
  received: number[]
  sentBytes: number
  receivedBytes: number
  connects: number
  pubacks: number
}

export async function startCountingProxy(port: number) {
  const counts: Counts = {
    sent: [0, 0, 0],
    received: [0, 0, 0],
    sentBytes: 0,
    receivedBytes: 0,
    connects: 0,
    pubacks: 0,
  }
  const sockets = new Set<Socket>()
  const keep = (socket: Socket): Socket => {
    sockets.add(socket)
    return socket.on('close', () => sockets.delete(socket)).on('error', () => {})
  }
  const server = createServer(device => {
    const broker = connect(port, '127.0.0.1')
    keep(device).pipe(keep(broker)).pipe(device)
    device.on('close', () => broker.destroy())
    broker.on('close', () => device.destroy())
    const [up, down] = [parser(), parser()]
    up.on('packet', packet => {
      if (packet.cmd === 'connect') {
        counts.connects++
        Object.assign(down, { settings: { protocolVersion: packet.protocolVersion } })
      }
      if (packet.cmd !== 'publish') return
      counts.sent[packet.qos] = (counts.sent[packet.qos] ?? 0) + 1
      counts.sentBytes += packet.payload.length
    })
    down.on('packet', packet => {
      if (packet.cmd === 'puback') counts.pubacks++
      if (packet.cmd !== 'publish') return
      counts.received[packet.qos] = (counts.received[packet.qos] ?? 0) + 1
      counts.receivedBytes += packet.payload.length
    })
    device.on('data', (bytes: Buffer) => void up.parse(bytes))
    broker.on('data', (bytes: Buffer) => void down.parse(bytes))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    counts,
    url: `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.dispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}
