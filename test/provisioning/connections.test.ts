// Connections of the API: no one address keeps everybody else out.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { test } from 'node:test'
import { addressOf, trackConnections } from '../../provisioning/http/connections.ts'
import { until } from '../harness/until.ts'

test('an address that holds all it may has no further connection, until one ends; another address has', async () => {
  const server = createServer()
  const connections = trackConnections(server as unknown as Parameters<typeof trackConnections>[0], 3)
  server.listen(0, '0.0.0.0')
  await once(server, 'listening')
  const open = new Set<Socket>()
  const dial = async (localAddress: string) => {
    const socket = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', localAddress })
    socket.on('error', () => {})
    socket.resume()
    open.add(socket)
    socket.once('close', () => open.delete(socket))
    await once(socket, 'connect')
    return socket
  }
  const first = await dial('127.0.0.1')
  for (let index = 0; index < 5; index += 1) await dial('127.0.0.1')
  await until(() => open.size === 3)
  await dial('127.0.0.2')
  first.destroy()
  await until(() => open.size === 3)
  await settled(server, 3)
  await dial('127.0.0.1')
  await settled(server, 4)
  assert.equal(open.size, 4)
  for (const socket of open) socket.destroy()
  await connections.drain()
  server.close()
})

test('addresses of one /64 count as one', () => {
  assert.equal(addressOf('2001:db8:1:2:3::4'), addressOf('2001:db8:1:2:ffff::1'))
  assert.notEqual(addressOf('2001:db8:1:2::1'), addressOf('2001:db8:1:3::1'))
  assert.equal(addressOf('::ffff:192.0.2.1'), addressOf('192.0.2.1'))
})

/** What the server counts, once it has seen what clients did. */
function settled(server: Server, count: number): Promise<void> {
  return until(
    () => new Promise<boolean>(resolve => server.getConnections((_, seen) => resolve(seen === count))),
  )
}
