// One broker node among several: what it does is written to PostgreSQL, what it publishes goes to the others by the bus, and sessions come
// and go. Everything of the engine that a single node has not.
import {
  leaveCluster,
  type NodeRow,
  readLog,
  readRetained,
  SLOTS,
} from '../../../db/cluster/cluster-store.ts'
import { raiseFormat } from '../../../db/cluster/formats.ts'
import type { SessionFile } from '../../../db/sessions/session-file.ts'
import { mirrorSessions } from '../../../db/sessions/session-mirror.ts'
import type { PastTakeovers } from '../../admission/clone-detector.ts'
import type { OtherNodes as OtherNodesOfBus } from '../routing/bus.ts'
import type { OtherNodes as OtherNodesOfRouter } from '../routing/router.ts'
import { createArrivals } from './arrivals.ts'
import { decodeControl } from './control.ts'
import type { EngineSide } from './engine-side.ts'
import { createGroupWriter } from './group-writer.ts'
import { createHandOver } from './handover.ts'
import { createHandOverCalls } from './handover-calls.ts'
import { createIncoming } from './incoming.ts'
import { type JoinOptions, joinNodes, type Membership } from './joining.ts'
import { createEnvelopeCodec, type Envelope } from './message-codec.ts'
import { createOutgoing } from './outgoing.ts'
import { type PresenceTimes, startPresence } from './presence.ts'
import { createPublishing } from './publishing.ts'
import { createRetainedVersions } from './retained-versions.ts'
import { createSharedNodes } from './shared-nodes.ts'
import { within } from './within.ts'

export type ClusterOptions = JoinOptions & {
  /** Tests do not wait for 5 s. */
  times?: PresenceTimes | undefined
  /** The devices of which the registry had what is stored deleted, after this epoch. */
  clearedAfter(epoch: number): string[]
  /** What is known of takeovers of a certificate, and what another node knew of them. */
  pastTakeovers(fingerprint: string): PastTakeovers
  takeInTakeovers(fingerprint: string, past: PastTakeovers): void
  onTrouble(error: unknown): void
  /** A group of this node is in PostgreSQL, after so many ms. */
  onCommitted(ms: number): void
  /** It was declared ended: others have its sessions, and nothing that it does counts any more. */
  onEnded(error: unknown): void
}

export type Cluster = Awaited<ReturnType<typeof openCluster>>

const FLUSH_MS = 1_000
/** Which nodes have ended is not known any more where that was last read so long ago. */
const LOOK_AGE_MAX_MS = 3_000
/** How long the last group of a node that stops is tried. */
const LAST_GROUP_MS = 5_000
/** IDs of rows begin here in each life, and two nodes never give the same one. */
const idsFrom = (now: number, slot: number) => Math.floor((now * 4_096) / SLOTS) * SLOTS + slot

/** Joins the cluster. Rejects where it cannot, as `joinNodes`. `file` is a store in memory: PostgreSQL has what is to last. */
export async function openCluster(file: SessionFile, options: ClusterOptions) {
  return createCluster(file, options, await joinNodes(options))
}

function createCluster(
  file: SessionFile,
  { onTrouble, onEnded, onCommitted, clearedAfter, pastTakeovers, takeInTakeovers, times }: ClusterOptions,
  open: Membership,
) {
  const { asking, joined, nats } = open
  const { incarnation: me } = joined
  const prefix = `rollcall.${joined.cluster}`
  const owned = new Map<string, number>()
  let engine: EngineSide
  let bus: Parameters<OtherNodesOfBus<Envelope>['use']>[0]
  /** Ended nodes whose messages for shared subscriptions could not all be placed anew: they are at the next look. */
  const toPlaceAnew = new Set<number>()
  let lastId = idsFrom(Date.now(), joined.slot)
  let isInterestNew = false
  let live = 0
  /** When the nodes were last read from PostgreSQL. */
  let lookedAt = 0
  let isClosed = false
  let { format } = joined
  const codec = createEnvelopeCodec(open.formats, () => format)

  const versions = createRetainedVersions({ keep: message => engine.keepRetained(message) })
  const sharedNodes = createSharedNodes({ setElsewhere: (asked, nodes) => engine.setElsewhere(asked, nodes) })
  const arrivals = createArrivals({
    ...{ me, versions, decode: codec.decode },
    engine: () => engine,
    readRetained: async topic => (await asking.ask(client => readRetained(client, [topic])))[0],
    passOn: (asked, node, message) => publishing.passOn(asked, node, message),
    hasEnded: sharedNodes.hasEnded,
    hears: () => nats.isUp() && performance.now() - lookedAt < LOOK_AGE_MAX_MS,
    onTrouble,
  })
  const incoming = createIncoming({
    ...{ me, decode: codec.decode },
    isWanted: topic => engine.isWanted(topic),
    take: arrivals.take,
    readLog: (node, after, upTo, limit) => asking.ask(client => readLog(client, node, after, upTo, limit)),
    onTrouble,
  })
  incoming.begin(joined.positions)
  file.sqlite.prepare('UPDATE broker SET cleared_epoch = ?').run(joined.clearedEpoch)
  const writer = createGroupWriter({
    me,
    connections: open.writing,
    mirror: mirrorSessions(file.sqlite),
    epochOf: clientId => owned.get(clientId),
    positions: incoming.positions,
    clearedEpoch: () => engine.clearedEpoch(),
    retainedVersion: versions.of,
    isRetained: topic => engine.isRetained(topic),
    onWritten: written => outgoing.written(written),
    onRefused: arrivals.refused,
    ...{ onCommitted, onEnded, onTrouble },
  })
  const kept = () => {
    engine.touch()
    return engine.kept()
  }
  const publishing = createPublishing({
    ...{ me, writer, versions, codec, engine: () => engine, place: arrivals.place, kept },
    hasEnded: sharedNodes.hasEnded,
    readOwnLog: (after, upTo, limit) => asking.ask(client => readLog(client, me, after, upTo, limit)),
  })
  const outgoing = createOutgoing({
    me,
    nats,
    subject: `${prefix}.c`,
    send: (topic, bytes) => bus.send(topic, bytes),
    groupsHere: () => engine.groupsHere(),
    groupChanges: () => engine.groupChanges(),
    versioned: versions.written,
  })
  const calls = createHandOverCalls({
    ...{ me, nats, prefix, pastTakeovers, takeInTakeovers, onTrouble },
    tokensLeft: clientId => engine.tokensLeft(clientId),
    takeInTokens: (clientId, left) => engine.takeInTokens(clientId, left),
    takenOver: (clientId, ended, by) => engine.takenOver(clientId, ended, by),
  })
  const handOver = createHandOver({
    me,
    connections: asking,
    incoming,
    ...{ writer, owned, decode: codec.decode },
    moves: {
      kept,
      endConnection: clientId => engine.moves.endConnection(clientId),
      letGo: clientId => engine.moves.letGo(clientId),
      takeIn: (clientId, rows) => engine.moves.takeIn(clientId, rows),
      clear: clientId => engine.moves.clear(clientId),
      connectionLost: clientId => engine.moves.connectionLost(clientId),
      missedBy: states => engine.moves.missedBy(states),
      reservePlace: () => engine.moves.reservePlace(),
    },
    askOwner: calls.ask,
    onTrouble,
    isCleared: (clientId, since) => engine.clearedEpoch() > since && clearedAfter(since).includes(clientId),
    isClosed: () => isClosed,
  })

  function receiveControl(error: Error | null, { data }: { data: Uint8Array }): void {
    const control = error === null ? decodeControl(data) : null
    if (control === null) onTrouble(error ?? new Error('what came from the bus is nothing that nodes say'))
    else if (control.from === me) return
    else if (control.kind === 'digest') incoming.digest(control)
    else if (control.kind === 'groups') sharedNodes.change(control.from, control)
    else outgoing.announceGroups()
  }

  function onNodes(nodes: readonly NodeRow[]): void {
    lookedAt = performance.now()
    const known = new Set(nodes.map(({ incarnation }) => incarnation))
    sharedNodes.forgetOthers(known)
    for (const node of toPlaceAnew) if (!known.has(node)) toPlaceAnew.delete(node)
    for (const { incarnation, ended, positions } of nodes) {
      if (!ended) continue
      const isNew = sharedNodes.end(incarnation)
      if (!toPlaceAnew.delete(incarnation) && !isNew) continue
      publishing.placeAnew(incarnation, positions[me] ?? 0).catch(error => {
        toPlaceAnew.add(incarnation)
        onTrouble(error)
      })
    }
  }

  let presence: { stop(): Promise<void> } | null = null

  return {
    me,
    hasEnded: sharedNodes.hasEnded,
    figures() {
      const { brought, readFromLog } = incoming.counts()
      return { isBusUp: nats.isUp(), received: live + brought, readFromLog }
    },
    nextRowId: () => {
      lastId += SLOTS
      return lastId
    },
    /** No row that is given from now on has an ID up to this. */
    skipRowIds(to: number): void {
      if (to >= lastId) lastId = Math.floor(to / SLOTS) * SLOTS + SLOTS + joined.slot
    },
    sessionFile: {
      ...file,
      async sync() {
        const isNew = isInterestNew
        isInterestNew = false
        const flushed = isNew && !nats.isClosed() ? within(nats.flush(), FLUSH_MS) : null
        return (await Promise.all([writer.sync(), flushed]))[0]
      },
    } satisfies SessionFile,
    /** What was retained when it joined. */
    retained: open.retained,
    restoredRetained: versions.restore,
    decode: codec.decode,

    bus: {
      connection: nats,
      prefix,
      onLost: (what, error) => {
        if (what === 'received') onTrouble(error)
      },
      encode: publishing.live,
      decode: bytes => codec.decode(Buffer.from(bytes)),
      arrived(envelope) {
        if (envelope.number > 0) {
          incoming.body(envelope)
          return
        }
        live += 1
        arrivals.deliver(envelope, 0)
      },
      use(emitter) {
        bus = emitter
      },
    } satisfies OtherNodesOfBus<Envelope>,

    router: { ...publishing, published: publishing.logged } satisfies OtherNodesOfRouter,

    /** A session here subscribes to the filter, by itself or as a member of a group; `unfollow` where one does no more. */
    follow(filter: string): void {
      bus.follow(filter)
      isInterestNew = true
    },
    unfollow: (filter: string) => bus.unfollow(filter),

    own: handOver.own,

    start(side: EngineSide): void {
      engine = side
      for (const { node, hasEnded, groups } of open.storedGroups) {
        sharedNodes.change(node, { startsAnew: true, joined: groups, left: [] })
        if (hasEnded) sharedNodes.end(node)
      }
      nats.subscribe(`${prefix}.c`, { callback: receiveControl })
      calls.answer(handOver.release)
      nats.onUp(outgoing.hello)
      outgoing.hello()
      presence = startPresence({
        ...{ me, times, connections: asking, incoming },
        beat: () => engine.touch(),
        async agree() {
          if (format < open.formats.newest) format = await asking.ask(raiseFormat)
        },
        adopt: handOver.adopt,
        readLeft: handOver.readLeft,
        onNodes,
        onLost: onEnded,
        onTrouble,
      })
    },

    /** Before the last group is written. */
    async stop(): Promise<void> {
      isClosed = true
      incoming.close()
      setTimeout(writer.stop, LAST_GROUP_MS).unref()
      await presence?.stop()
    },
    /** After it. Other nodes take its sessions over. */
    async close(): Promise<void> {
      writer.stop()
      await asking.ask(client => leaveCluster(client, me)).catch(onTrouble)
      await nats.close()
      await Promise.all([open.writing.close(), asking.close()])
    },
  }
}
