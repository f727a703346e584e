// Where the run goes: the API, the broker, the token, what to trust and where keys are kept. Everything here was
// named by the user: there is no default host to hit by accident.
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { isIPv4 } from 'node:net'
import { join } from 'node:path'
import { BadUsage } from './failure.ts'

export type Broker = {
  url: string
  host: string
  port: number
  ca: string | null
  transport: Transport
  /** Of a WebSocket. */
  path: string
  /** What the server's certificate must be; `pinned`: the one with this fingerprint (SHA-256, lowercase hex). */
  verify: 'chain' | 'none' | { pinned: string }
  /** What SNI names and the certificate must say; null for the host. */
  servername: string | null
  alpn: readonly string[]
  /** May hold variables, as topics do. */
  username: string | null
  password: string | null
}

export const transports = { 'mqtt:': 'tcp', 'mqtts:': 'tls', 'ws:': 'ws', 'wss:': 'wss' } as const
export type Transport = (typeof transports)[keyof typeof transports]

/** Mutual TLS to a host whose certificate its CA signed, and nothing else. */
export const overTls = {
  transport: 'tls',
  path: '/mqtt',
  verify: 'chain',
  servername: null,
  alpn: [],
  username: null,
  password: null,
} as const satisfies Partial<Broker>

/** True for addresses that never leave this machine. Names other than `localhost` are not looked up. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))
}

/** Above this many devices a host that is not this machine needs an explicit yes. */
const DEVICES_WITHOUT_ASKING_MAX = 1_000

/** @throws BadUsage where a large fleet would go to another machine without a yes. */
export function requireConsent(options: { devices: number; yes: boolean }, broker: Broker): void {
  if (options.devices <= DEVICES_WITHOUT_ASKING_MAX || options.yes || isLoopback(broker.host)) return
  throw new BadUsage([
    `${options.devices} devices against ${broker.host}, which is not this machine: add --yes if that is meant`,
  ])
}

export function readEndpoints(dataDir: string, problems: string[]): { mqtts?: string; api?: string } {
  const file = join(dataDir, 'endpoints.json')
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    return {} // Not running, or an older data directory: the default ports are tried.
  }
  try {
    const { mqtts, api } = JSON.parse(text) as Record<string, unknown>
    return {
      ...(typeof mqtts === 'string' ? { mqtts } : {}),
      ...(typeof api === 'string' ? { api } : {}),
    }
  } catch {
    problems.push(`--data: ${file} is not JSON`)
    return {}
  }
}

const defaultPorts: Record<string, string> = { 'mqtt:': '1883', 'mqtts:': '8883', 'ws:': '80', 'wss:': '443' }

/** One of these protocols, with the port that is usual for it where the text names none. */
export function readUrl(
  flag: string,
  text: string,
  protocols: readonly string[],
  problems: string[],
): URL | null {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url?.username || url?.password) {
    problems.push(`${flag}: expected no user and password in the address`)
    return null
  }
  if (url && protocols.includes(url.protocol) && url.hostname !== '') {
    return url
  }
  problems.push(`${flag}: expected ${protocols.join(', ')}//HOST[:PORT], got ${JSON.stringify(text)}`)
  return null
}

/** The port that a broker's URL means. */
export function portOf(url: URL): number {
  return Number(url.port || defaultPorts[url.protocol])
}

export function readText(flag: string, file: string, problems: string[]): string {
  try {
    const text = readFileSync(file, 'utf8').trim()
    if (text !== '') return text
    problems.push(`${flag}: ${file} is empty`)
  } catch (error) {
    problems.push(`${flag}: cannot read ${file} (${(error as NodeJS.ErrnoException).code})`)
  }
  return ''
}

export function readCertificate(file: string, problems: string[]): string | null {
  const text = readText('--ca', file, problems)
  if (text === '') return null
  try {
    new X509Certificate(text)
    return text
  } catch {
    problems.push(`--ca: ${file} holds no certificate`)
    return null
  }
}
