// A broker on plain TCP that lets everybody in, and what it was sent: for tests of what a command line becomes on the wire.
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { Aedes } from 'aedes'

export type PlainBroker = Awaited<ReturnType<typeof startPlainBroker>>

type Received = { client: string; topic: string; payload: Buffer; qos: number; retain: boolean }

/** Aedes' default is a minute, in which a client that vanished keeps deliveries from all: once its socket's buffers are full. */
const DRAIN_TIMEOUT_MS = 1_000

export async function startPlainBroker(host = '127.0.0.1') {
  const aedes = new Aedes({ drainTimeout: DRAIN_TIMEOUT_MS })
  await aedes.listen()
  const received: Received[] = []
  const clients: string[] = []
  aedes.on('client', ({ id }) => void clients.push(id))
  aedes.authorizePublish = (client, { topic, payload, qos, retain }, done) => {
    received.push({ client: client?.id ?? '', topic, payload: Buffer.from(payload), qos, retain })
    done(null)
  }
  const sockets = new Set<Socket>()
  const server = createServer(socket => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket)).on('error', () => {})
    aedes.handle(socket)
  }).listen(0, host)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    aedes,
    port,
    url: `mqtt://${host}:${port}`,
    received,
    clients,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await new Promise<void>(resolve => aedes.close(resolve))
    },
  }
}
