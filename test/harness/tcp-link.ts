// A TCP connection's way on loopback that can fall silent, in one direction or both, as a network that parts two machines does: connections
// stay, what is sent waits, and goes on where the way is there again. It may also be slow.
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

export type TcpLink = {
  port: number
  /** `there` is from the client to the server. */
  silence(what?: { there?: boolean; back?: boolean }): void
  /** Each octet passes so much later, from now on. */
  delay(ms: number): void
  /** As it was first. */
  heal(): void
  close(): void
}

/** `to` is asked at each connection: a server may come back elsewhere. */
export async function startLink(to: () => number): Promise<TcpLink> {
  type Way = { from: Socket; to: Socket; isThere: boolean }
  const ways = new Set<Way>()
  const silent = { there: false, back: false }
  let lateMs = 0

  const isSilent = ({ isThere }: Way) => (isThere ? silent.there : silent.back)
  const apply = (way: Way) => (isSilent(way) ? way.from.pause() : way.from.resume())

  const server = createServer({ pauseOnConnect: true }, client => {
    const upstream = connect(to(), '127.0.0.1')
    const pair: Way[] = [
      { from: client, to: upstream, isThere: true },
      { from: upstream, to: client, isThere: false },
    ]
    for (const way of pair) {
      ways.add(way)
      way.from.on('error', () => {})
      // In their order, also where the way has just become faster: each timer passes on what came first.
      const waiting: Buffer[] = []
      const pass = () => way.to.write(waiting.shift()!)
      way.from.on('data', (data: Buffer) => {
        waiting.push(data)
        if (lateMs === 0 && waiting.length === 1) pass()
        else setTimeout(pass, lateMs)
      })
      way.from.on('close', () => {
        ways.delete(way)
        way.to.destroy()
      })
    }
    for (const way of pair) apply(way)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')

  return {
    port: (server.address() as { port: number }).port,
    silence({ there = true, back = true } = {}) {
      Object.assign(silent, { there, back })
      for (const way of ways) apply(way)
    },
    delay(ms) {
      lateMs = ms
    },
    heal() {
      lateMs = 0
      Object.assign(silent, { there: false, back: false })
      for (const way of ways) apply(way)
    },
    close() {
      server.close()
      for (const { from } of ways) from.destroy()
    },
  }
}
