// Where the run goes: the API, the broker, the token, what to trust and where keys are kept. Everything here was
// named by the user: there is no default host to hit by accident.
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { isIPv4 } from 'node:net'
import { join } from 'node:path'
import { BadUsage } from './failure.ts'

export type Broker = { url: string; host: string; port: number; ca: string | null }

/** True for addresses that never leave this machine. Names other than `localhost` are not looked up. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))
}

/** Above this many devices a host that is not this machine needs an explicit yes. */
export const DEVICES_WITHOUT_ASKING_MAX = 1_000

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

export function readUrl(flag: string, text: string, protocol: string, problems: string[]): URL | null {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url && url.protocol === protocol && url.hostname !== '') {
    if (protocol === 'mqtts:' && url.port === '') url.port = '8883'
    return url
  }
  problems.push(`${flag}: expected ${protocol}//HOST[:PORT], got ${JSON.stringify(text)}`)
  return null
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
