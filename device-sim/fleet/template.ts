// What a text or a JSON document of a scenario becomes for one message: names and functions between `${` and `}`.
// Pure but for the wall clock. Does not know what the text is sent as.
import { parseDurationMs } from '../duration.ts'
import { normal } from '../random.ts'

export type MessageContext = {
  device: string
  n: string
  sequence: number
  clock: number
  random: () => number
}

type Value = (message: MessageContext) => number | string | boolean

/** Devices of a group swing apart from each other: the golden angle, in radians. */
const PHASE = 2.399963

/**
 * `between:LOW:HIGH[:DIGITS]`, `sine:MEAN:AMPLITUDE:PERIOD[:NOISE]`, `grow:FROM:STEP`, `pick:A|B|C`, or a name: `device`, `n`,
 * `number`, `seq`, `now`, `time`, `random`. Null for anything else.
 */
function valueNamed(text: string): Value | null {
  const [name = '', ...rest] = text.split(':')
  const [a = Number.NaN, b = Number.NaN, c = Number.NaN] = rest.map(Number)
  switch (name) {
    case 'device':
      return rest.length === 0 ? ({ device }) => device : null
    case 'n':
      return ({ n }) => n
    case 'number':
      return ({ n }) => Number(n)
    case 'seq':
      return ({ sequence }) => sequence
    case 'now':
      return () => Date.now()
    case 'time':
      return () => timeText(Date.now())
    case 'random':
      return ({ random }) => Math.round(random() * 1e6) / 1e6
    case 'between':
      if (!(a <= b)) return null
      return ({ random }) => rounded(a + (b - a) * random(), Number.isNaN(c) ? 2 : c)
    case 'grow':
      if (Number.isNaN(a + b)) return null
      return ({ sequence }) => rounded(a + b * sequence, 6)
    case 'sine': {
      const periodMs = parseDurationMs(rest[2] ?? '')
      const noise = Number(rest[3] ?? 0)
      if (Number.isNaN(a + b + noise) || !periodMs) return null
      return ({ clock, n, random }) => {
        const swing = b * Math.sin((2 * Math.PI * clock) / periodMs + PHASE * Number(n))
        return rounded(a + swing + (noise === 0 ? 0 : noise * normal(random)), 6)
      }
    }
    case 'pick': {
      const choices = rest.join(':').split('|')
      if (choices.length < 2) return null
      return ({ random }) => choices[Math.floor(random() * choices.length)] ?? ''
    }
  }
  return null
}

/** A text that is a function or a name becomes its value; anything else stays what it is. */
export function constantOrNamed(given: unknown): Value {
  const value = typeof given === 'string' ? valueNamed(/^\$\{(.*)\}$/.exec(given)?.[1] ?? '') : null
  return value ?? (() => given as number | string | boolean)
}

/** A placeholder alone between quotes becomes a number where its value is one; within a text its digits. */
export function jsonTemplate(json: unknown): (message: MessageContext) => string {
  const parts = JSON.stringify(json ?? null)
    .split(/("\$\{[^}"]*\}"|\$\{[^}"]*\})/)
    .map((part, index) => (index % 2 === 1 ? placed(part) : part))
  return message => {
    let text = ''
    for (const part of parts) text += typeof part === 'string' ? part : part(message)
    return text
  }
}

function placed(part: string): string | ((message: MessageContext) => string) {
  const name = /\{([^}]*)\}/.exec(part)?.[1] ?? ''
  const value = valueNamed(name)
  if (!value) return part
  if (!part.startsWith('"')) return message => String(value(message))
  // Between quotes alone the number of a device is a number, without leading zeros.
  return name === 'n' ? ({ n }) => String(Number(n)) : message => JSON.stringify(value(message))
}

let latestMs = Number.NaN
let latestText = ''

/** Many messages of a fleet fall on one millisecond. */
function timeText(ms: number): string {
  if (ms !== latestMs) {
    latestMs = ms
    latestText = new Date(ms).toISOString()
  }
  return latestText
}

function rounded(value: number, digits: number): number {
  const scale = 10 ** digits
  return Math.round(value * scale) / scale
}
