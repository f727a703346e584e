// How attempts end that come to nothing: under the same name on each runtime and link, and with a source address or not.
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { it } from 'node:test'
import { createServer, type TlsOptions } from 'node:tls'
import { makeRequest } from '../../../device-sim/enrollment/identity.ts'
import { type Credentials, credentialsOf, type LinkOptions } from '../../../device-sim/links/session.ts'
import { type Broker, overTls } from '../../../device-sim/target.ts'
import { chooseRuntime } from '../../../device-sim/workers/runtime.ts'
import type { AttemptTask } from '../fakes/attempts-process.ts'
import { createAuthority } from '../fakes/authority.ts'

type Authority = Awaited<ReturnType<typeof createAuthority>>

async function deviceOf(authority: Authority): Promise<Credentials> {
  const { key, csr } = await makeRequest('device', 'p256')
  const { pem } = await authority.issue(csr, 'device', new Date(Date.now() + 86_400_000))
  return credentialsOf({ key, certificates: [pem, ...authority.chain].join('') })
}

async function portOf(server: Server): Promise<number> {
  server.on('tlsClientError', () => {}).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

for (const asked of ['node', 'bun'] as const) {
  it(`attempts that come to nothing have the names that they have everywhere, on ${asked}`, async t => {
    const [authority, other] = await Promise.all([createAuthority(), createAuthority()])
    const [own, foreign] = await Promise.all([deviceOf(authority), deviceOf(other)])
    const server: TlsOptions = {
      key: authority.serverKey,
      cert: authority.serverChain,
      ca: authority.rootPem,
    }
    const mutual = (version: 'TLSv1.2' | 'TLSv1.3') =>
      createServer(
        { ...server, requestCert: true, rejectUnauthorized: true, minVersion: version, maxVersion: version },
        socket => socket.on('error', () => {}),
      )
    const closing = (socket: Socket): void =>
      void socket.on('error', () => {}).once('data', () => socket.end())
    const servers = {
      tls13: mutual('TLSv1.3'),
      tls12: mutual('TLSv1.2'),
      plain: createTcpServer(socket => void socket.on('error', () => {}).write('this is no TLS')),
      closes: createServer(server, closing),
    }
    t.after(() => Object.values(servers).map(one => one.close()))
    const ports: Record<string, number> = { nobody: 1 }
    for (const [name, one] of Object.entries(servers)) ports[name] = await portOf(one)
    const rows: [where: string, Credentials | null, more: Partial<Broker>, name: string][] = [
      ['tls13', null, {}, 'tls_alert_certificate_required'],
      ['tls12', null, {}, 'tls_alert_handshake_failure'],
      ['tls13', foreign, {}, 'closed_after_handshake'],
      ['tls12', foreign, {}, 'closed_before_handshake'],
      ['plain', own, {}, 'failed_err_ssl_wrong_version_number'],
      ['closes', own, {}, 'closed_after_handshake'],
      ['closes', own, { ca: other.rootPem, verify: 'none' }, 'closed_after_handshake'],
      ['closes', own, { servername: 'other.example' }, 'server_not_trusted_err_tls_cert_altname_invalid'],
      ['nobody', own, {}, 'unreachable_econnrefused'],
    ]
    const attempts = rows.flatMap(([where, credentials, more]) => {
      const known = { host: '127.0.0.1', servername: 'localhost', ca: authority.rootPem }
      const broker = { ...overTls, ...known, url: '', port: ports[where] ?? 0, ...more }
      const options: LinkOptions = { broker, clientId: 'device', credentials, timeoutMs: 20_000 }
      const lean = [options, { ...options, localAddress: '127.0.0.3' }].map(
        one => ({ link: 'lean', options: one }) as const,
      )
      return [...lean, { link: 'mqttjs', options } as const] satisfies AttemptTask[]
    })
    const { program } = await chooseRuntime(asked)
    const child = fork(join(import.meta.dirname, '../fakes/attempts-process.ts'), [], {
      execPath: program,
      execArgv: [],
    })
    child.send(attempts)
    const [results] = await once(child, 'message')
    const ways = ['lean', 'lean from an address', 'mqttjs']
    const expected = rows.flatMap(([where, , , name]) => ways.map(way => `${where}, ${way}: ${name}`))
    const seen = (results as string[]).map(
      (name, index) => `${rows[Math.floor(index / 3)]?.[0]}, ${ways[index % 3]}: ${name}`,
    )
    assert.deepEqual(seen, expected)
  })
}
