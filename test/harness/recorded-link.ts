// A TCP link between a client and the broker that notes what kind of TLS record the broker sent last. In TLS 1.2 the type
// stands in the clear (RFC 5246 §6.2.1), so that close_notify is told from a connection that merely ended.
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import type { Listening } from './broker.ts'

const ALERT = 21

/** Like the broker itself for one that connects; `closedInOrder` is true where the last record of the last connection was an alert. */
export async function recordedLink(
  t: Listening,
): Promise<Listening & { closedInOrder(): boolean; close(): void }> {
  let last = 0
  const server = createServer(client => {
    const upstream = connect({ host: '127.0.0.1', port: t.broker.port })
    let rest: Buffer = Buffer.alloc(0)
    last = 0
    upstream.on('data', (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk])
      while (rest.length >= 5 && rest.length >= 5 + rest.readUInt16BE(3)) {
        last = rest[0]!
        rest = rest.subarray(5 + rest.readUInt16BE(3))
      }
      client.write(chunk)
    })
    client.on('data', chunk => upstream.write(chunk))
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      from.on('error', () => {})
      from.once('end', () => to.end())
      from.once('close', () => to.destroy())
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    broker: { port: (server.address() as AddressInfo).port },
    roll: t.roll,
    closedInOrder: () => last === ALERT,
    close: () => void server.close(),
  }
}
