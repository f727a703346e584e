// Debian's mosquitto 2.0.11 with mutual TLS and rights like ours, as a control: what holds there and not here is our fault,
// what holds here and not there is for the standard to judge.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import type { Device } from '../e2e/devices.ts'
import { startMosquitto } from '../e2e/mosquitto-server.ts'
import { type Authority, createAuthority, type Identity, usage } from '../harness/authority.ts'

export const backends = ['backend', 'backend-2'] as const

export type ControlBroker = AsyncDisposable & {
  port: number
  ca: string
  /** A certificate whose common name is the device ID. Backends may do everything, others what is below `devices/ID/`. */
  device(id: string): Promise<Pick<Device, 'id' | 'certificate' | 'key' | 'files'>>
}

/** Everything it needs goes below `directory`. */
export async function startControlBroker(directory: string): Promise<ControlBroker> {
  mkdirSync(directory, { recursive: true })
  const authority = await createAuthority()
  const server = await authority.issue({ name: 'localhost', usages: [usage.serverAuth] })
  const probe = await authority.issue({ name: 'probe' })
  const file = (name: string, text: string): string => {
    const path = join(directory, name)
    writeFileSync(path, text, { mode: 0o600 })
    return path
  }
  const ca = file('ca.crt', authority.certificate)
  const files = {
    cafile: ca,
    certfile: file('server.crt', server.certificate),
    keyfile: file('server.key', server.key),
    acl_file: file(
      'acl',
      [...backends.map(user => `user ${user}\ntopic readwrite #`), 'pattern readwrite devices/%u/#\n'].join(
        '\n\n',
      ),
    ),
  }
  const configure = (port: number): string =>
    file(
      'mosquitto.conf',
      [
        `listener ${port} 127.0.0.1`,
        ...Object.entries(files).map(([name, path]) => `${name} ${path}`),
        'require_certificate true',
        'use_identity_as_username true',
        'allow_anonymous false',
        `user ${process.env['USER'] ?? 'root'}`,
        '',
      ].join('\n'),
    )
  const broker = await startMosquitto(configure, port => shakesHands(port, authority, probe))
  return {
    port: broker.port,
    ca,
    async device(id) {
      const { certificate, key } = await authority.issue({ name: id })
      const own = { certificate: file(`${id}.crt`, certificate), key: file(`${id}.key`, key), ca }
      return { id, certificate, key, files: own }
    },
    [Symbol.asyncDispose]: () => broker[Symbol.asyncDispose](),
  }
}

function shakesHands(port: number, { certificate: ca }: Authority, { certificate, key }: Identity) {
  return new Promise<boolean>(resolve => {
    const socket = connectTls({ port, host: '127.0.0.1', ca, cert: certificate, key }, () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
}
