// How the broker is spoken to: its address, what its certificate must be, what a device proves itself by beside its own.
// Everything here was named by the user. Does not know where certificates of devices come from.
import { isIP } from 'node:net'
import { type Broker, overTls, portOf, readText, readUrl, transports } from '../target.ts'

export type BrokerFlags = {
  username?: string
  password?: string
  passwordFile?: string
  insecure?: boolean
  pin?: string
  servername?: string
  alpn?: string
}

const PIN = /^[0-9a-f]{64}$/

/** `%c` and `%u` are the device, `%i` its number, as emqtt-bench has them. */
function fromPercent(text: string): string {
  return text.replaceAll('%i', '$' + '{number}').replaceAll(/%[cu]/g, '$' + '{device}')
}

/** Null for an invalid target; `problems` then has the reason. */
export function readBroker(
  text: string,
  ca: string | null,
  flags: BrokerFlags,
  problems: string[],
): Broker | null {
  const before = problems.length
  const url = readUrl('--broker', text, Object.keys(transports), problems)
  if (!url) return null
  const transport = transports[url.protocol as keyof typeof transports]
  const tls = transport === 'tls' || transport === 'wss'
  const { username, insecure = false, pin, servername } = flags
  const alpn = flags.alpn?.split(',') ?? []
  const fingerprint = pin?.replaceAll(':', '').toLowerCase()
  if (fingerprint !== undefined && !PIN.test(fingerprint)) {
    problems.push('--pin: expected the SHA-256 fingerprint of the certificate, 64 hexadecimal digits')
  }
  if (insecure && pin !== undefined) problems.push('--insecure and --pin exclude each other')
  if (servername !== undefined && isIP(servername) !== 0)
    problems.push('--servername: expected a name, no IP address')
  for (const [flag, given] of Object.entries({
    insecure: insecure || undefined,
    pin,
    servername,
    alpn: flags.alpn,
  })) {
    if (given !== undefined && !tls) problems.push(`--${flag}: only with mqtts:// and wss://`)
  }
  const isSocket = transport === 'ws' || transport === 'wss'
  if (!isSocket && url.pathname.length > 1)
    problems.push('--broker: expected no path but with ws:// and wss://')
  const password = passwordOf(flags, problems)
  if (password !== null && username === undefined) problems.push('--password-file: expected --username, too')
  if (problems.length > before) return null
  const path = isSocket ? `${url.pathname === '/' ? overTls.path : url.pathname}${url.search}` : overTls.path
  return {
    url: `${url.protocol}//${url.host}${isSocket ? path : ''}`,
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: portOf(url),
    ca,
    transport,
    path,
    verify: fingerprint === undefined ? (insecure ? 'none' : 'chain') : { pinned: fingerprint },
    servername: servername ?? null,
    alpn,
    username: username === undefined ? null : fromPercent(username),
    password: password === null ? null : fromPercent(password),
  }
}

function passwordOf({ password, passwordFile }: BrokerFlags, problems: string[]): string | null {
  if (password !== undefined) return password
  return passwordFile === undefined ? null : readText('--password-file', passwordFile, problems)
}
