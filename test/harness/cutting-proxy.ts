// A TCP proxy on loopback that breaks connections at a chosen moment: before a question that holds some text reaches the server, or
// before its answer reaches the client.
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

export type CuttingProxy = {
  port: number
  /** The next question with this text breaks its connection, and so do all that are open then. */
  cutNext(text: string, lost: 'question' | 'answer'): void
  /** How often a connection was cut. */
  cuts(): number
  close(): void
}

export async function startCuttingProxy(target: { host: string; port: number }): Promise<CuttingProxy> {
  const sockets = new Set<Socket>()
  let armed: { text: string; lost: 'question' | 'answer' } | null = null
  let cuts = 0

  const server = createServer(client => {
    const upstream = connect(target)
    let dropAnswer = false
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        client.destroy()
        upstream.destroy()
      })
    }
    const cut = () => {
      cuts += 1
      client.destroy()
    }
    client.on('data', data => {
      if (armed !== null && data.includes(armed.text)) {
        const { lost } = armed
        armed = null
        if (lost === 'question') return cut()
        dropAnswer = true
      }
      upstream.write(data)
    })
    upstream.on('data', data => {
      if (dropAnswer) cut()
      else client.write(data)
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as { port: number }).port,
    cutNext(text, lost) {
      armed = { text, lost }
    },
    cuts: () => cuts,
    close() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}
