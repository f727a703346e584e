// The services' JSON log on its way to stderr: as it is for machines, as short lines for a person at a terminal.
// Refuses to know what any line means.
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { styleText } from 'node:util'
import { printable } from '../errors.ts'
import type { ChildOutput } from './supervised-child.ts'
import type { SupervisorEvents } from './supervisor.ts'

const levels: Readonly<Record<number, string>> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
}
/** Fields of every line that the short form leaves out, or prints in a place of their own. */
const QUIET = new Set(['level', 'time', 'pid', 'hostname', 'name', 'msg', 'v'])
const LINE_CHARACTERS_MAX = 400

type ServiceLog = {
  output: ChildOutput
  events: SupervisorEvents
  /** A line of the supervisor's own, of a pino level. */
  note(level: number, msg: string, fields: Record<string, unknown>): void
}

/** Where children's stderr goes, and the supervisor's own lines in the same form. */
export function createServiceLog({ readable }: { readable: boolean }): ServiceLog {
  const write = (line: string) => process.stderr.write(`${line}\n`)
  const note = (level: number, msg: string, fields: Record<string, unknown>) => {
    const line = JSON.stringify({
      level,
      time: Date.now(),
      pid: process.pid,
      name: 'supervisor',
      ...fields,
      msg,
    })
    write(readable ? readableLine('supervisor', line) : line)
  }
  return {
    note,
    output: readable ? (name, stderr) => rewrite(name, stderr, write) : 'inherit',
    events: {
      died: (service, why) => note(50, 'service died', { service, why }),
      restarting: (service, delayMs) => note(40, 'service restarts', { service, delayMs }),
    },
  }
}

function rewrite(name: string, stderr: Readable, write: (line: string) => void): void {
  createInterface({ input: stderr }).on('line', line => write(readableLine(name, line)))
}

/** `12:34:56 broker warn message key=value …`; a line that is no JSON object stays as it is, made harmless. */
export function readableLine(service: string, line: string): string {
  const record = parsed(line)
  if (record === null) return printable(`${service} ${line}`)
  const time = clockTime(record['time'])
  const level = levels[Number(record['level'])] ?? ''
  const fields = Object.entries(record)
    .filter(([key, value]) => !QUIET.has(key) && !(key === 'service' && value === service))
    .map(([key, value]) => `${key}=${shown(value)}`)
  const text = printable([record['msg'], ...fields].filter(Boolean).join(' '))
  const short = text.length > LINE_CHARACTERS_MAX ? `${text.slice(0, LINE_CHARACTERS_MAX)}…` : text
  return [styled('dim', time), printable(service), styled(colour(level), level), short]
    .filter(Boolean)
    .join(' ')
}

/** Local wall-clock time; services write milliseconds or RFC 3339. */
function clockTime(time: unknown): string {
  const at = typeof time === 'number' || typeof time === 'string' ? new Date(time) : null
  return at === null || Number.isNaN(at.getTime()) ? '' : at.toTimeString().slice(0, 8)
}

function colour(level: string): 'red' | 'yellow' | 'dim' {
  if (level === 'error' || level === 'fatal') return 'red'
  return level === 'warn' ? 'yellow' : 'dim'
}

/** NO_COLOR and terminals without colours are respected by `styleText` itself. */
function styled(format: 'red' | 'yellow' | 'dim', text: string): string {
  return text === '' ? '' : styleText(format, text, { stream: process.stderr })
}

function parsed(line: string): Record<string, unknown> | null {
  try {
    const value = JSON.parse(line)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null
  } catch {
    return null
  }
}

function shown(value: unknown): string {
  if (typeof value !== 'string') return JSON.stringify(value)
  return /^[\w.:/@+-]+$/.test(value) ? value : JSON.stringify(value)
}
