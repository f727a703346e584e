// What agent and coordinator say to each other beside the messages of workers, and what a coordinator believes of an agent's.
// An agent is trusted to report, and not to break the run: its reports are checked against their shape.
import Type from 'typebox'
import Value from 'typebox/value'
import { forEachLatency } from '../results/tick.ts'
import type { FromWorker, ToWorker } from '../workers/protocol.ts'

export type ToAgent =
  /** Starts a worker for this connection. Answered with `opened` or `refused`. */
  | { do: 'open'; run: string }
  /** Answers `ask`; `now` by the coordinator's clock. */
  | { do: 'tell'; asked: number; now: number }
  | ToWorker

export type AgentHello = {
  is: 'hello'
  version: string
  node: string
  /** Of its workers: `node 26.10.0`. */
  runtime: string
  cpus: number
  /** Files that a worker may open; null where the system does not say. */
  descriptors: number | null
  /** Local addresses that devices connect from; none for whatever the system chooses. */
  sources: string[]
}

export type FromAgent =
  | AgentHello
  | { is: 'ask'; at: number }
  | { is: 'opened' }
  | { is: 'refused'; why: string }
  /** The clock is corrected anew: the most by which it is wrong now. */
  | { is: 'clock'; errorMs: number }
  | { is: 'worker-ended'; how: string }
  | FromWorker

const closed = { additionalProperties: false }
const number = Type.Number()
const text = Type.String({ maxLength: 100_000 })
const short = Type.String({ maxLength: 1_000 })
const record = <Value extends Type.TSchema>(of: Value) =>
  // A member of this name would be the prototype of what it is added to.
  Type.Record(Type.String({ pattern: '^(?!__proto__$)', maxLength: 200 }), of, closed)
const numbers = <Name extends string>(...names: Name[]) =>
  Type.Object(Object.fromEntries(names.map(name => [name, number])) as Record<Name, typeof number>, closed)
const nullable = <Value extends Type.TSchema>(of: Value) => Type.Union([Type.Null(), of])

const histogram = nullable(
  Type.Object(
    {
      buckets: Type.Array(Type.Integer({ minimum: 0, maximum: 4_294_967_295 })),
      sumMs: number,
      minMs: number,
      maxMs: number,
    },
    closed,
  ),
)
const traffic = numbers(
  ...(['sent', 'sentBytes', 'acknowledged', 'refused', 'unacknowledged', 'missed', 'received'] as const),
  ...(['receivedBytes', 'duplicated', 'reordered', 'altered', 'expired', 'lost'] as const),
)
const counts = Type.Object(
  {
    groups: Type.Array(
      Type.Object(
        {
          connects: numbers('attempts', 'admitted', 'refused', 'failed', 'resumed'),
          refusals: record(numbers('expected', 'unexpected')),
          failures: record(number),
          drops: record(number),
          wronglyAdmitted: number,
          wronglyRefused: number,
          unproven: number,
        },
        closed,
      ),
    ),
    traffic: Type.Tuple([traffic, traffic, traffic]),
    subscriptions: numbers('granted', 'refused'),
    reasons: record(number),
    answered: number,
    cpuSeconds: number,
  },
  closed,
)
const tick = Type.Object(
  {
    counts,
    connect: Type.Array(histogram),
    latencies: Type.Object(
      forEachLatency(() => histogram),
      closed,
    ),
    populations: Type.Array(numbers('total', 'connected', 'connecting', 'waiting', 'asleep', 'idle')),
    entitled: Type.Array(numbers('awake', 'connected')),
    rssBytes: number,
  },
  closed,
)
const findings = Type.Object(
  {
    admitted: Type.Array(
      Type.Object(
        { device: short, group: short, how: Type.Enum(['admitted', 'kept']), why: short, at: number },
        closed,
      ),
    ),
    refused: Type.Array(Type.Object({ device: short, group: short, saw: short }, closed)),
    cuts: Type.Array(numbers('action', 'ms')),
    kept: Type.Array(numbers('action')),
  },
  closed,
)
const stream = Type.Object(
  {
    stream: number,
    topic: text,
    qos: Type.Enum([0, 1, 2]),
    sent: number,
    firstSentAt: number,
    unacknowledged: Type.Array(number),
  },
  closed,
)
const is = (name: string) => ({ is: Type.Literal(name) })
const believed = Type.Union([
  Type.Object({ ...is('tick'), tick, findings }, closed),
  Type.Object({ ...is('ask'), at: number }, closed),
  Type.Object({ ...is('clock'), errorMs: number }, closed),
  Type.Object({ ...is('ready'), clockErrorMs: Type.Optional(number) }, closed),
  Type.Object({ ...is('quiet'), streams: Type.Array(stream), listens: Type.Boolean() }, closed),
  Type.Object({ ...is('settled'), ledgerOverflow: number }, closed),
  Type.Object({ ...is('ended') }, closed),
  Type.Object({ ...is('failed'), message: short }, closed),
  Type.Object(
    {
      ...is('hello'),
      version: short,
      node: short,
      runtime: short,
      cpus: Type.Integer({ minimum: 1, maximum: 4_096 }),
      descriptors: nullable(number),
      sources: Type.Array(short, { maxItems: 1_000 }),
    },
    closed,
  ),
  Type.Object({ ...is('opened') }, closed),
  Type.Object({ ...is('refused'), why: short }, closed),
  Type.Object({ ...is('worker-ended'), how: short }, closed),
])

/** `groups` is how many the run has, null before it. @throws Error where an agent may not say this. */
export function fromAgent(message: unknown, groups: number | null): FromAgent {
  if (!Value.Check(believed, message)) throw new Error('no message of an agent')
  const known = message as FromAgent
  if (known.is === 'tick') {
    const { counts, connect, populations, entitled } = known.tick
    for (const list of [counts.groups, connect, populations, entitled]) {
      if (list.length !== groups) throw new Error('a report of another run')
    }
  }
  return known
}
