// A Unix socket in the data directory, by which the provisioning service has something tried out: one order a connection, as a line of JSON,
// answered by lines of JSON. The file is 0600: a process that may open it may write the registry, too, and is asked for no right.
import { rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import type { Tryouts } from '../mqtt/tryouts.ts'

/** A path of a Unix socket is 107 bytes at most. */
const PATH_BYTES_MAX = 100
const ORDER_CHARACTERS_MAX = 262_144
const CONNECTIONS_MAX = 32
const ORDER_MS = 5_000
/** What the service has not taken of an order. Beyond it the order ends. */
const BEHIND_BYTES_MAX = 4 * 1024 * 1024

type Principal = { deviceId: string; issuerId: string | null; serialNumber: string }
type Order =
  | {
      do: 'publish'
      principal: Principal
      by: string
      topic: string
      payload: string
      qos: 0 | 1 | 2
      /** In ms since the epoch: from then on nobody waits for the answer, and nothing is done. */
      until: number
    }
  | {
      do: 'subscribe'
      principal: Principal
      filter: string
      messagesMax: number
      payloadBytesMax: number
    }

export function openServiceSocket(parts: {
  file: string
  tryouts: Tryouts
  onFailed(error: unknown): void
}): {
  close(): void
} {
  const { file, tryouts } = parts
  if (Buffer.byteLength(file) > PATH_BYTES_MAX) {
    parts.onFailed(new Error(`the path ${file} is too long for a Unix socket`))
    return { close() {} }
  }
  const open = new Set<Socket>()
  const server = createServer(socket => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
    socket.on('error', () => {})
    serve(socket).catch(error => {
      parts.onFailed(error)
      socket.destroy()
    })
  })
  server.maxConnections = CONNECTIONS_MAX
  server.on('error', parts.onFailed)
  rmSync(file, { force: true })
  // Made with its mode: what is let in before a change of it stays in.
  const umask = process.umask(0o177)
  server.listen(file)
  process.umask(umask)
  server.unref()

  async function serve(socket: Socket): Promise<void> {
    const say = (answer: object) => void socket.write(`${JSON.stringify(answer)}\n`)
    const order = await readOrder(socket)
    if (order === null) {
      socket.destroy()
      return
    }
    if (order.do === 'publish') {
      const { payload, until, ...tried } = order
      if (Date.now() >= until) {
        socket.destroy()
        return
      }
      say(await tryouts.publish({ ...tried, payload: Buffer.from(payload, 'base64') }))
      socket.end()
      return
    }
    const { principal, filter, messagesMax, payloadBytesMax } = order
    let left = messagesMax
    const begun = tryouts.subscribe({
      principal,
      filter,
      onMessage({ payload, ...message }) {
        const shown = payload.subarray(0, payloadBytesMax).toString('base64')
        if (socket.writableLength > BEHIND_BYTES_MAX) {
          socket.destroy()
          return false
        }
        say({ ...message, bytes: payload.length, payload: shown })
        left -= 1
        if (left === 0) socket.end()
        return left > 0
      },
      onEnd(refused) {
        say({ refused })
        socket.end()
      },
    })
    if ('refused' in begun) {
      say(begun)
      socket.end()
      return
    }
    socket.once('close', begun.stop)
    socket.resume()
    // The service closes it, when it has enough.
    socket.once('end', () => socket.end())
    if (socket.destroyed) begun.stop()
  }

  return {
    close() {
      server.close()
      for (const socket of open) socket.destroy()
      rmSync(file, { force: true })
    },
  }
}

/** Null where no whole order comes. */
function readOrder(socket: Socket): Promise<Order | null> {
  return new Promise((resolve, reject) => {
    let text = ''
    const overdue = setTimeout(done, ORDER_MS, null)
    function done(order: Order | null): void {
      clearTimeout(overdue)
      socket.off('data', take)
      socket.off('close', none)
      resolve(order)
    }
    function take(piece: string): void {
      text += piece
      const end = text.indexOf('\n')
      if (end < 0) {
        if (text.length > ORDER_CHARACTERS_MAX) done(null)
        return
      }
      try {
        done(JSON.parse(text.slice(0, end)) as Order)
      } catch (error) {
        reject(error)
      }
    }
    const none = () => done(null)
    socket.setEncoding('utf8')
    socket.on('data', take)
    socket.once('close', none)
  })
}
