// Connections of the API: no client keeps out a revocation.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import type { Api } from '../../../provisioning/http/api.ts'
import type { Log } from '../../../provisioning/logging/log.ts'
import { openStatusServer } from '../../../provisioning/revocation/status-server.ts'
import { addressOf, type ConnectionLimits } from '../../../provisioning/server/connection-bounds.ts'
import { trackConnections } from '../../../provisioning/server/connections.ts'
import { answerProblems } from '../../../provisioning/server/problem-answers.ts'
import { until } from '../../harness/until.ts'

/** A server of such limits, and connections to it from any loopback address, by name. */
async function ground(limits: ConnectionLimits) {
  const server = createServer()
  const connections = trackConnections(server as unknown as Parameters<typeof trackConnections>[0], limits)
  const accepted: Socket[] = []
  server.on('connection', socket => accepted.push(socket))
  server.listen(0, '0.0.0.0')
  await once(server, 'listening')
  const open = new Map<string, Socket>()
  return {
    open,
    /** Resolves once the server has it. */
    async dial(name: string, localAddress = '127.0.0.1') {
      const count = accepted.length + 1
      const { port } = server.address() as AddressInfo
      const socket = connect({ port, host: '127.0.0.1', localAddress })
      socket.on('error', () => {})
      socket.resume()
      open.set(name, socket)
      socket.once('close', () => open.delete(name))
      await once(socket, 'connect')
      await until(() => accepted.length === count)
    },
    /** As where the latest caller shows that it may revoke. */
    keep: () => connections.keep(accepted.at(-1)!),
    is: (names: string[]) => until(() => [...open.keys()].join() === names.join()),
    async [Symbol.asyncDispose]() {
      for (const socket of open.values()) socket.destroy()
      await connections.drain()
      server.close()
    },
  }
}

test('an address that holds all it may gives up its oldest connection for the next; another address none', async () => {
  await using t = await ground({ max: 9, perAddressMax: 3 })
  await t.dial('other', '127.0.0.2')
  for (const name of ['a', 'b', 'c', 'd']) await t.dial(name)
  await t.is(['other', 'b', 'c', 'd'])
  t.open.get('c')!.destroy()
  await t.is(['other', 'b', 'd'])
  // The server may see the end of one after the beginning of the next: it then gives up one more, never one less.
  await t.dial('e')
  await until(() => t.open.has('e') && t.open.has('d') && t.open.has('other'))
})

test('where all places are taken the address that has most gives up its oldest', async () => {
  await using t = await ground({ max: 4, perAddressMax: 3 })
  await t.dial('single', '127.0.0.2')
  for (const name of ['a', 'b', 'c']) await t.dial(name)
  await t.dial('revoking', '127.0.0.3')
  await t.is(['single', 'b', 'c', 'revoking'])
})

test('a caller that may revoke keeps its connection, and a new one gets none where all may', async () => {
  await using t = await ground({ max: 9, perAddressMax: 2 })
  await t.dial('operator')
  t.keep()
  await t.dial('a')
  await t.dial('b')
  await t.is(['operator', 'b'])
  t.keep()
  await t.dial('c')
  await t.is(['operator', 'b'])
})

test('addresses of one /64 count as one', () => {
  assert.equal(addressOf('2001:db8:1:2:3::4'), addressOf('2001:db8:1:2:ffff::1'))
  assert.notEqual(addressOf('2001:db8:1:2::1'), addressOf('2001:db8:1:3::1'))
  assert.equal(addressOf('::ffff:192.0.2.1'), addressOf('192.0.2.1'))
})

test('of the server of CRL and OCSP an address holds a part of the connections, and keeps no other out', async () => {
  const server = await openStatusServer({ host: '127.0.0.1', port: 0 }, undefined, {
    max: 4,
    perAddressMax: 2,
  })
  const open = new Map<string, Socket>()
  const dial = async (name: string, localAddress: string) => {
    const socket = connect({ port: server.port, host: '127.0.0.1', localAddress })
    socket.on('error', () => {})
    socket.resume()
    open.set(name, socket)
    socket.once('close', () => open.delete(name))
    await once(socket, 'connect')
  }
  for (const name of ['a', 'b', 'c', 'd', 'e']) await dial(name, '127.0.0.1')
  await dial('other', '127.0.0.2')
  await until(() => [...open.keys()].join() === 'd,e,other')
  for (const socket of open.values()) socket.destroy()
  await server.close()
})

test('a connection that was aborted has no address any more, and its request is counted all the same', () => {
  assert.equal(addressOf(undefined), '')
})

test('a request whose connection ended is refused, as the client had it, and is no failure of the service', () => {
  const told: string[] = []
  const log = new Proxy({} as Log, { get: (_, verb) => () => void told.push(String(verb)) })
  let handler: (...handed: unknown[]) => unknown = () => {}
  const setErrorHandler = (given: typeof handler) => {
    handler = given
  }
  const api = { setErrorHandler, setNotFoundHandler: () => {}, addHook: () => {} }
  answerProblems.install(api as unknown as Api, log)
  const reply: object = new Proxy({}, { get: () => () => reply })
  // What reading a body throws when its client goes.
  const aborted = Object.assign(new Error('aborted'), { code: 'ECONNRESET' })
  for (const destroyed of [true, false])
    handler(aborted, { id: 'r', routeOptions: { url: '/v1/jobs' }, raw: { destroyed } }, reply)
  assert.deepEqual(told, ['requestRefused', 'requestFailed'])
})
