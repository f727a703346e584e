// Where the bus is: what `--bus nats://…` names, with credentials and keys from files, and TLS with verification off loopback.
import { readFileSync, statSync } from 'node:fs'
import { type ConnectionOptions, credsAuthenticator } from '@nats-io/transport-node'

/** How the client connects. Secrets are read from their files at each connection. */
export type BusAddress = Pick<
  ConnectionOptions,
  'servers' | 'tls' | 'user' | 'authenticator' | 'ignoreClusterUpdates'
> & {
  /** Without a trace of how it was given, for logs. */
  shown: string
}

const PORT = 4222
const PARAMETERS = ['server', 'tls', 'ca', 'cert', 'key', 'creds', 'passwordfile']

/**
 * Reads `nats://user@host:port?server=host:port&tls=…&ca=…&cert=…&key=…&creds=…&passwordfile=…`. `tls` is `verify-full`, the default
 * where any server is off loopback, or `disable`, the default on loopback. `server` may stand several times. Throws an error that says
 * what is wrong and never holds the text: a password may be in it.
 */
export function readBusAddress(text: string): BusAddress {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || !/^(nats|tls):$/.test(url.protocol) || url.hostname === '')
    throw new Error('the bus must be given as nats://host:port')
  if (url.password !== '')
    throw new Error(
      'the bus URL must hold no password: put it into a file, and name that with ?passwordfile=',
    )
  const { searchParams } = url
  const unknown = [...searchParams.keys()].filter(name => !PARAMETERS.includes(name))
  if (unknown.length > 0)
    throw new Error(`the bus URL has an unknown parameter ${unknown[0]}: known are ${PARAMETERS.join(', ')}`)
  const hosts = [
    hostOf(`x://${url.host}`),
    ...searchParams.getAll('server').map(each => hostOf(`x://${each}`)),
  ]
  const isLocal = hosts.every(({ name }) => isLoopback(name))
  const mode = searchParams.get('tls') ?? (isLocal && url.protocol !== 'tls:' ? 'disable' : 'verify-full')
  if (mode !== 'disable' && mode !== 'verify-full')
    throw new Error('tls in the bus URL must be verify-full or disable')
  const servers = hosts.map(({ name, port }) => `${name}:${port}`)
  return {
    servers,
    shown: servers.join(', '),
    // Servers that a server names as its cluster are believed where it has proved its own name.
    ignoreClusterUpdates: mode === 'disable',
    tls: mode === 'disable' ? null : tlsOf(searchParams),
    ...loginOf(decodeURIComponent(url.username), searchParams),
  }
}

function tlsOf(parameters: URLSearchParams): NonNullable<ConnectionOptions['tls']> {
  const [ca, cert, key] = ['ca', 'cert', 'key'].map(name => parameters.get(name))
  if ((cert == null) !== (key == null)) throw new Error('the bus URL must name both cert and key, or neither')
  return {
    ...(ca != null && { ca: readFileSync(ca, 'utf8') }),
    ...(cert != null && { cert: readFileSync(cert, 'utf8') }),
    ...(key != null && { key: secretOf(key) }),
  }
}

function loginOf(user: string, parameters: URLSearchParams): Pick<BusAddress, 'user' | 'authenticator'> {
  const creds = parameters.get('creds')
  const passwordFile = parameters.get('passwordfile')
  if (creds !== null) {
    secretOf(creds) // so that a missing file is told at the start
    return { authenticator: credsAuthenticator(() => Buffer.from(secretOf(creds))) }
  }
  if (passwordFile === null) return user === '' ? {} : { user }
  if (user === '')
    throw new Error('the bus URL must name a user for the password file: nats://user@host:port')
  secretOf(passwordFile)
  return { authenticator: () => ({ user, pass: secretOf(passwordFile).trimEnd() }) }
}

function secretOf(file: string): string {
  if (!isPrivate(statSync(file)))
    throw new Error(`${file} can be read by others: make it 0600, or the bus does not use it`)
  return readFileSync(file, 'utf8')
}

/**
 * Whether a file with a secret is for its owner alone, or is root's and its group reads it: so libpq has it for keys (PostgreSQL 15,
 * 34.19.2), and so Kubernetes mounts secrets for the group of a pod.
 */
export function isPrivate({ mode, uid }: { mode: number; uid: number }): boolean {
  return (mode & (uid === 0 ? 0o037 : 0o077)) === 0
}

function hostOf(text: string): { name: string; port: number } {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || url.hostname === '') throw new Error('a server of the bus must be given as host:port')
  return { name: url.hostname, port: url.port === '' ? PORT : Number(url.port) }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || /^127(\.\d+){3}$/.test(host)
}
