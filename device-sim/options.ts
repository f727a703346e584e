// What a run was asked to be: flags judged all at once, in units that the rest of the simulator uses.
// Refuses to know where the service is (target.ts) and what happens in a run.
import { BadUsage } from './failure.ts'
import { isKeyType, type KeyType, keyTypes } from './identity.ts'

export type OutputFormat = 'table' | 'json' | 'jsonl' | 'yaml'

/** Options as they come from a command line: text, or absent. */
export type RawOptions = {
  devices?: string
  rate?: string
  interval?: string
  duration?: string
  /** `true` for the bare flag; text is the number of rogues of each kind. */
  rogues?: string | boolean
  keys?: string
  prefix?: string
  qos?: string
  broker?: string
  keyType?: string
  connectTimeout?: string
  enrollConcurrency?: string
  yes?: boolean
  output?: string
  api?: string
  tokenFile?: string
  ca?: string
  data?: string
}

export type SimOptions = {
  devices: number
  /** Connections started per second. */
  rate: number
  intervalMs: number
  /** Counted from the moment the last device was started. */
  durationMs: number
  /** Rogues of each kind; 0 for none. */
  rogues: number
  prefix: string
  qos: 0 | 1 | 2
  keyType: KeyType
  connectTimeoutMs: number
  enrollConcurrency: number
  yes: boolean
  output: OutputFormat
}

const DEVICES_MAX = 100_000
const formats: readonly OutputFormat[] = ['table', 'json', 'jsonl', 'yaml']

/**
 * Reads text options.
 * @throws BadUsage with every problem found.
 */
export function readOptions(raw: RawOptions): SimOptions {
  const problems: string[] = []
  const options: SimOptions = {
    devices: integer('--devices', raw.devices ?? '100', 1, DEVICES_MAX, problems),
    rate: number('--rate', raw.rate ?? '50', 0.01, 100_000, problems),
    intervalMs: duration('--interval', raw.interval ?? '5s', 10, problems),
    durationMs: duration('--duration', raw.duration ?? '30s', 0, problems),
    rogues: readRogues(raw.rogues, problems),
    prefix: raw.prefix ?? 'sim-',
    qos: integer('--qos', raw.qos ?? '1', 0, 2, problems) as 0 | 1 | 2,
    keyType: readKeyType(raw.keyType ?? 'p256', problems),
    connectTimeoutMs: duration('--connect-timeout', raw.connectTimeout ?? '15s', 10, problems),
    enrollConcurrency: integer('--enroll-concurrency', raw.enrollConcurrency ?? '16', 1, 256, problems),
    yes: raw.yes ?? false,
    output: readFormat(raw.output ?? 'table', problems),
  }
  // Room is left for the number and for "rogue-<kind>-<n>" within the 128 characters of a device ID.
  if (!/^[A-Za-z0-9._-]{0,90}$/.test(options.prefix)) {
    problems.push(`--prefix: expected at most 90 of A-Z a-z 0-9 . _ -, got ${JSON.stringify(raw.prefix)}`)
  }
  if (problems.length > 0) throw new BadUsage(problems)
  return options
}

/** `sim-00001` for the first device; the width is fixed so that fleets of any size share names. */
export function deviceIdAt(prefix: string, index: number): string {
  return `${prefix}${String(index + 1).padStart(5, '0')}`
}

/** Milliseconds of `250ms`, `5s`, `1.5m`, `2h`; null where it is none of these. */
export function parseDurationMs(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text.trim())
  if (!match) return null
  const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[match[2] as 'ms' | 's' | 'm' | 'h']
  return Number(match[1]) * unitMs
}

function readRogues(value: string | boolean | undefined, problems: string[]): number {
  if (value === undefined || value === false) return 0
  if (value === true) return 1
  return integer('--rogues', value, 0, 100, problems)
}

function readKeyType(value: string, problems: string[]): KeyType {
  if (isKeyType(value)) return value
  problems.push(`--key-type: expected ${keyTypes.join(', ')}, got ${JSON.stringify(value)}`)
  return 'p256'
}

function readFormat(value: string, problems: string[]): OutputFormat {
  const format = formats.find(known => known === value)
  if (!format) problems.push(`--output: expected ${formats.join(', ')}, got ${JSON.stringify(value)}`)
  return format ?? 'table'
}

function integer(flag: string, text: string, min: number, max: number, problems: string[]): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (value >= min && value <= max) return value
  problems.push(`${flag}: expected a whole number from ${min} to ${max}, got ${JSON.stringify(text)}`)
  return min
}

function number(flag: string, text: string, min: number, max: number, problems: string[]): number {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN
  if (value >= min && value <= max) return value
  problems.push(`${flag}: expected a number from ${min} to ${max}, got ${JSON.stringify(text)}`)
  return min
}

function duration(flag: string, text: string, minMs: number, problems: string[]): number {
  const value = parseDurationMs(text)
  const maxMs = 30 * 24 * 3_600_000
  if (value !== null && value >= minMs && value <= maxMs) return value
  problems.push(`${flag}: expected a time such as 500ms, 5s or 2m, got ${JSON.stringify(text)}`)
  return minMs
}
