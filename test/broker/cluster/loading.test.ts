// Sessions of a node that has ended are read together: what they missed once for all of them, and one that cannot be read alone fails.
import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import type { GroupWriter } from '../../../broker/mqtt/cluster/group-writer.ts'
import type { Incoming } from '../../../broker/mqtt/cluster/incoming.ts'
import { createLoading, NotTakenIn } from '../../../broker/mqtt/cluster/loading.ts'
import type { Envelope } from '../../../broker/mqtt/cluster/message-codec.ts'
import type { SessionMoves } from '../../../broker/mqtt/cluster/session-moves.ts'
import type { SessionState } from '../../../broker/mqtt/state.ts'
import type { ClusterConnections } from '../../../db/cluster/cluster-connections.ts'
import type { HandedOver, LogRow, Positions } from '../../../db/cluster/cluster-store.ts'

const [ME, OTHER] = [1, 2]
const LAST = 1_200

type Row = Omit<HandedOver, 'clientId'>
let sessions: Map<string, Row>
let asked: string[]
let done: string[]
/** Messages by client. */
let got: Map<string, number[]>

beforeEach(() => {
  sessions = new Map()
  asked = []
  done = []
  got = new Map()
})

function list(clientId: string, positions: Positions, bytes = 0): void {
  sessions.set(clientId, { epoch: 2, positions, clearedEpoch: 0, bytes })
}

/** What PostgreSQL answers to the statement of this name. */
function answer(name: string, values: unknown[]): object[] {
  if (name === 'read_handed_over')
    return (values[0] as string[]).flatMap(clientId =>
      sessions.has(clientId) ? [{ clientId, ...sessions.get(clientId)! }] : [],
    )
  if (name === 'read_content') return []
  const [, after, upTo, limit] = values as [number, number, number, number]
  const count = Math.min(upTo - after, limit)
  return Array.from({ length: count }, (_, n): LogRow => {
    const number = after + 1 + n
    return { number, message: Buffer.from(String(number)) }
  })
}

function loading({ broken = '' } = {}) {
  const client = {
    async query({ name, values }: { name: string; values: unknown[] }) {
      asked.push(name)
      return { rows: answer(name, values) }
    },
  }
  const moves: Partial<SessionMoves> = {
    takeIn(clientId) {
      if (clientId === broken) throw new Error('a column is missing')
      done.push(`${clientId} is taken in`)
      return { clientId, isKept: true } as SessionState
    },
    letGo: clientId => void done.push(`${clientId} is let go`),
    missedBy: states => (envelope, place, isOwed) => {
      assert.ok(place > 0)
      for (const state of states)
        if (isOwed(state))
          got.set(state.clientId, [...(got.get(state.clientId) ?? []), Number(envelope.message.topic)])
    },
    reservePlace: () => 0,
    async kept() {
      done.push('kept')
    },
  }
  const writer: Partial<GroupWriter> = {
    ...{ collect() {}, hold() {}, unsettle() {}, abandon() {}, published: () => 0 },
    settle: clientId => void done.push(`${clientId} is settled`),
  }
  const incoming: Partial<Incoming> = { positions: () => ({ [OTHER]: LAST }), taken: () => LAST }
  const owned = new Map<string, number>()
  const { load } = createLoading({
    ...{ me: ME, owned, moves: moves as SessionMoves, writer: writer as GroupWriter },
    incoming: incoming as Incoming,
    connections: { ask: work => work(client as never), close: async () => {} } satisfies ClusterConnections,
    decode: bytes => ({ message: { topic: String(bytes) } }) as Envelope,
    isCleared: () => false,
    isClosed: () => false,
  })
  return { load, owned }
}

const pages = () => asked.filter(name => name === 'read_log').length

describe('sessions that are loaded together', () => {
  it('get each what it missed, and no more, of a log that is read once', async () => {
    list('a', { [OTHER]: 0 })
    list('b', { [OTHER]: 700 })
    list('c', { [OTHER]: LAST })
    const { load, owned } = loading()
    assert.deepEqual(await load(['a', 'b', 'c', 'of another node']), new Set(['a', 'b', 'c']))
    assert.deepEqual([...owned.keys()], ['a', 'b', 'c'])
    const upTo = (from: number) => Array.from({ length: LAST - from }, (_, n) => from + 1 + n)
    assert.deepEqual(got.get('a'), upTo(0))
    assert.deepEqual(got.get('b'), upTo(700))
    assert.equal(got.get('c'), undefined)
    assert.equal(pages(), 3)
  })

  it('are settled once all have what they missed, by one wait for PostgreSQL', async () => {
    for (const clientId of ['a', 'b']) list(clientId, { [OTHER]: LAST })
    await loading().load(['a', 'b'])
    const settled = ['a is settled', 'b is settled', 'kept']
    assert.deepEqual(done, ['a is taken in', 'b is taken in', ...settled])
    assert.equal(pages(), 0)
  })

  it('are let go all where one cannot be taken in, so that each can be loaded by itself', async () => {
    for (const clientId of ['good', 'bad']) list(clientId, { [OTHER]: LAST })
    const { load, owned } = loading({ broken: 'bad' })
    await assert.rejects(load(['good', 'bad']), NotTakenIn)
    assert.equal(owned.size, 0)
    assert.ok(done.includes('good is let go'))
    assert.deepEqual(await load(['good']), new Set(['good']))
  })

  it('are read in parts where they hold much', async () => {
    for (const clientId of ['a', 'b', 'c']) list(clientId, { [OTHER]: LAST }, 9_000_000)
    assert.equal((await loading().load(['a', 'b', 'c'])).size, 3)
    assert.equal(asked.filter(name => name === 'read_content').length, 3)
  })

  it('are told once, and not loaded again, where a later part of them fails', async () => {
    for (const clientId of ['good', 'bad']) list(clientId, { [OTHER]: LAST }, 9_000_000)
    const { load, owned } = loading({ broken: 'bad' })
    const told: string[] = []
    const tell = (clientId: string) => void told.push(clientId)
    await assert.rejects(load(['good', 'bad'], tell), NotTakenIn)
    assert.deepEqual([...owned.keys()], ['good'])
    assert.deepEqual(await load(['good'], tell), new Set(['good']))
    assert.deepEqual(told, ['good'])
    assert.equal(done.filter(what => what === 'good is taken in').length, 1)
  })
})
