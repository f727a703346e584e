// Devices that share one TLS context each present their own certificate, in whatever order they connect.
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import dns from 'node:dns'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import { createServer, type TLSSocket } from 'node:tls'
import { makeRequest } from '../../../device-sim/enrollment/identity.ts'
import { credentialsOf } from '../../../device-sim/links/session.ts'
import { openSocket } from '../../../device-sim/links/socket.ts'
import { overTls } from '../../../device-sim/target.ts'
import { createAuthority } from '../fakes/authority.ts'

async function stage(t: TestContext) {
  const authority = await createAuthority()
  const sockets = new Set<TLSSocket>()
  const server = createServer(
    { key: authority.serverKey, cert: authority.serverChain, requestCert: true, rejectUnauthorized: false },
    socket => {
      sockets.add(socket.on('error', () => {}))
      socket.write(`${socket.getPeerX509Certificate()?.fingerprint256}\n`)
    },
  ).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
    await once(server, 'close')
  })
  const { port } = server.address() as AddressInfo
  const identities = await Promise.all(
    ['a', 'b', 'c'].map(async id => {
      const { key, csr } = await makeRequest(id, 'p256')
      const { pem } = await authority.issue(csr, id, new Date(Date.now() + 86_400_000))
      const certificates = [pem, ...authority.chain].join('')
      return {
        credentials: credentialsOf({ key, certificates }),
        fingerprint: new X509Certificate(pem).fingerprint256,
      }
    }),
  )
  /** What the server saw of each connection; all are opened at once. */
  async function seen(host: string, order: readonly number[]): Promise<string[]> {
    const broker = { ...overTls, url: '', host, port, ca: authority.rootPem, servername: 'localhost' }
    const opened = order.map(async index => {
      const credentials = identities[index]?.credentials ?? null
      const socket = openSocket({ broker, clientId: '', credentials, timeoutMs: 10_000 })
      const [line] = await once(socket, 'data')
      socket.destroy()
      return String(line).trim()
    })
    return Promise.all(opened)
  }
  const own = (order: readonly number[]) => order.map(index => identities[index]?.fingerprint)
  return { seen, own }
}

describe('devices with a certificate each', () => {
  const order = [0, 0, 1, 0, 2, 2, 1, 0]

  it('present their own', async t => {
    const { seen, own } = await stage(t)
    assert.deepEqual(await seen('127.0.0.1', order), own(order))
  })

  it('present their own where the first address of a name does not answer', async t => {
    const { seen, own } = await stage(t)
    const addresses = ['127.0.0.2', '127.0.0.1'].map(address => ({ address, family: 4 }))
    t.mock.method(dns, 'lookup', (_host: string, _options: unknown, done: (...found: unknown[]) => void) =>
      setImmediate(done, null, addresses),
    )
    assert.deepEqual(await seen('broker.test', order), own(order))
  })
})
