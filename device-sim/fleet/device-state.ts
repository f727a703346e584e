// The state of one simulated device, and how it begins. Plain data and functions, since a worker has thousands.
import {
  type Attempt,
  type Credentials,
  nothingUnfinished,
  type Session,
  type Unfinished,
} from '../links/session.ts'
import { createRandom, seedOf } from '../random.ts'
import type { Expectation } from '../results/summary.ts'
import { filled } from '../scenario/topic.ts'
import type { Stream } from './delivery-tracker.ts'
import type { Group } from './group.ts'
import { withSharedIssuers } from './shared-issuers.ts'
import type { EdgeNode } from './sparkplug.ts'
import type { WorkerContext } from './worker-context.ts'

/** A device as the parent process describes it. `index` is its place in the whole fleet. */
export type DeviceSpec = {
  index: number
  group: number
  n: string
  id: string
  clientId: string
  credentials: Credentials | null
}

export type Device = {
  index: number
  group: Group
  id: string
  n: string
  clientId: string
  credentials: Credentials | null
  state: 'idle' | 'connecting' | 'connected' | 'waiting' | 'asleep'
  session: Session | null
  attempt: Attempt | null
  failures: number
  random: () => number
  expect: Expectation
  /** The fault or the action that `expect` follows from. */
  why: string
  /** The operator's current action on it, and the state of its session since. */
  trial: Trial | null
  everAdmitted: boolean
  /** Since when it holds its subscriptions, and the filters. */
  subscribedAt: number
  filters: string[]
  turns: number[] | null
  streams: Map<string, Stream> | null
  pending: Set<Pending> | null
  tlsSession: Buffer | null
  /** Where the session is kept: what the link finishes when it is back. */
  unfinished: Unfinished | null
  /** Its numbers as a Sparkplug edge node; one for all devices that are none. */
  node: EdgeNode
  /** The latest `cnt64` of each topic, where payloads carry one. */
  counters: Map<string, number> | null
}

export type Trial = { action: number; answeredAt: number | null; dropped: boolean }

const noNode: EdgeNode = { bdSeq: 0, seq: 0 }

export function createDevice(part: DeviceSpec, group: Group, context: WorkerContext): Device {
  const { id, n } = part
  const { link, session } = group.plan
  return {
    index: part.index,
    group,
    id,
    n,
    clientId: part.clientId,
    credentials: part.credentials && withSharedIssuers(part.credentials),
    state: 'idle',
    session: null,
    attempt: null,
    failures: 0,
    random: createRandom(seedOf(context.seed, part.index)),
    expect: group.plan.expect,
    why: group.plan.fault ?? '',
    trial: null,
    everAdmitted: false,
    subscribedAt: Number.NaN,
    filters: [],
    turns: null,
    streams: null,
    pending: null,
    tlsSession: null,
    unfinished: link === 'lean' && !session.clean ? nothingUnfinished() : null,
    node: group.plan.publish.some(({ payload }) => payload.sparkplug) ? { bdSeq: -1, seq: -1 } : noNode,
    counters: null,
  }
}

/** What a template becomes for this device. */
export function fill({ id, n, group }: Device, template: string): string {
  const { name, attributes } = group.plan
  return template.includes('$') ? filled(template, { device: id, n, group: name, attributes }) : template
}

/** Sent and not acknowledged yet. */
export type Pending = { stream: Stream | null; sequence: number; qos: 1 | 2 }
