// What messages carry: a generator for each kind of the scenario, and the number that loss is counted by.
// One generator serves a whole group: all it remembers of a device is how many messages that has sent.
import { readFileSync } from 'node:fs'
import { parseDurationMs } from '../duration.ts'
import { RunFailed } from '../failure.ts'
import type { Digests } from '../links/properties.ts'
import { createRandom, normal } from '../random.ts'
import type { PayloadPlan } from '../scenario/payload-schema.ts'
import type { Plan } from '../scenario/plan.ts'
import { createSparkplug, type EdgeNode } from './sparkplug.ts'
import { jsonTemplate, type MessageContext } from './template.ts'

/** `node` is needed for Sparkplug alone. */
export type Generator = (moment: MessageContext, node: EdgeNode) => string | Buffer

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const REPLAY_BYTES_MAX = 16_777_216

/** `textOf` gives the file to replay. @throws RunFailed where it cannot be read or has no lines. */
export function createGenerator(plan: PayloadPlan, textOf: (file: string) => string = readReplay): Generator {
  const { constant, random, ramp, sine, file, sparkplug } = plan
  if (constant !== undefined) return () => constant
  if (random) return moment => letters(random.bytes, moment.random)
  if (ramp) {
    const { from, to, steps, field = 'value' } = ramp
    const step = (to - from) / Math.max(1, steps - 1)
    return ({ sequence }) => member(field, from + step * ((sequence - 1) % steps))
  }
  if (sine) {
    const { mean, amplitude, period, noise = 0, field = 'value' } = sine
    const periodMs = parseDurationMs(period) ?? 1
    return ({ clock, random: chance }) => {
      const swing = amplitude * Math.sin((2 * Math.PI * clock) / periodMs)
      return member(field, mean + swing + (noise === 0 ? 0 : noise * normal(chance)))
    }
  }
  if (file !== undefined) return replay(file, textOf(file))
  if (sparkplug) return createSparkplug(sparkplug)
  return jsonTemplate(plan.json)
}

/** The number of a message, as it travels: which run, which sender and topic, which message, when it was due. */
type MessageHeader = {
  run: string
  stream: number
  sequence: number
  dueAt: number
  /** Of a message in MQTT 5: what a receiver in MQTT 5 must find with it. */
  promise: Promised | null
}
/** `sentAt` on the same clock as `dueAt`. */
export type Promised = Digests & { expirySeconds: number | null; sentAt: number }

/**
 * The body with its number: as the member `_` of a JSON object, in front of anything else. With `bytes`, letters of the body
 * give way to the number, so that both have that length.
 */
export function withHeader(
  { run, stream, sequence, dueAt, promise }: MessageHeader,
  body: string,
  bytes?: number,
): string {
  const head = `${run} ${stream} ${sequence} ${millis(dueAt)}`
  const stamp = promise === null ? `rcs1 ${head}` : `rcs2 ${head} ${promised(promise)}`
  if (body.charCodeAt(0) !== 0x7b) {
    const letters = bytes === undefined ? body : body.slice(0, Math.max(0, bytes - stamp.length - 1))
    return `${stamp} ${letters}`
  }
  return body === '{}' ? `{"_":"${stamp}"}` : `{"_":"${stamp}",${body.slice(1)}`
}

/** With three digits. Most due times are whole, for which `toFixed` takes as long as all else of the number. */
function millis(ms: number): string {
  return Number.isInteger(ms) ? `${ms}.000` : ms.toFixed(3)
}

function promised({ ordered, byName, expirySeconds, sentAt }: Promised): string {
  return `${sentAt.toFixed(0)} ${expirySeconds ?? '-'} ${ordered}${byName}`
}

const STAMP =
  /^(?:\{"_":")?rcs([12]) (\w+) (\d+) (\d+) (\d+\.\d+)(?: (\d+) (\d+|-) ([0-9a-f]{8})([0-9a-f]{8})(?=[ "]))?/
const STAMP_BYTES_MAX = 140

/** Null where the message carries none, or that of another run. */
export function readHeader(payload: Buffer, run: string): MessageHeader | null {
  const first = payload[0]
  if (first !== 0x7b && first !== 0x72) return null
  const match = STAMP.exec(payload.toString('latin1', 0, STAMP_BYTES_MAX))
  if (!match || match[2] !== run) return null
  const [, version, , stream, sequence, dueAt, sentAt, expiry, ordered, byName] = match
  const promise =
    version === '1' || ordered === undefined || byName === undefined
      ? null
      : { ordered, byName, expirySeconds: expiry === '-' ? null : Number(expiry), sentAt: Number(sentAt) }
  return { run, stream: Number(stream), sequence: Number(sequence), dueAt: Number(dueAt), promise }
}

function member(field: string, value: number): string {
  return `{"${field}":${Math.round(value * 1000) / 1000}}`
}

const POOL_LETTERS = 131_072
let pool = ''

/** A piece of a pool that is made once: letters one by one would cost a message more than its number. */
function letters(bytes: number, random: () => number): string {
  if (pool === '') {
    const chance = createRandom(POOL_LETTERS)
    pool = Array.from({ length: POOL_LETTERS }, () => LETTERS[Math.floor(chance() * 64)]).join('')
  }
  let text = ''
  while (text.length < bytes) {
    const from = Math.floor(random() * POOL_LETTERS)
    text += pool.slice(from, from + bytes - text.length)
  }
  return text
}

/** Every file that payloads of the plan are lines of, so that workers read none. @throws RunFailed where one cannot be read. */
export function readReplays({ groups }: Pick<Plan, 'groups'>): [file: string, text: string][] {
  const files = groups.flatMap(({ publish }) => publish.flatMap(({ payload }) => payload.file ?? []))
  return [...new Set(files)].map(file => [file, readReplay(file)])
}

/** At most 16 MiB of it. @throws RunFailed where it cannot be read. */
export function readReplay(file: string): string {
  try {
    return readFileSync(file, 'utf8').slice(0, REPLAY_BYTES_MAX)
  } catch (error) {
    throw new RunFailed(`cannot replay ${file}: ${(error as NodeJS.ErrnoException).code}`, { cause: error })
  }
}

function replay(file: string, text: string): Generator {
  const lines = text.split('\n').filter(Boolean)
  if (lines.length === 0) throw new RunFailed(`cannot replay ${file}: it has no lines`)
  return ({ sequence }) => lines[(sequence - 1) % lines.length] as string
}
