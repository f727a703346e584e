// The broker's log: one function per occurrence writes the log line and counts it.
// Never a key, a payload or a topic of a device in a metric label.
import pino, { type DestinationStream, type Logger } from 'pino'
import type { DrainOrder } from '../../db/nodes/node-drains.ts'
import type { Reason } from '../../db/reason.ts'
import { reasonCodeText } from '../../db/reason-v5.ts'
import type { ProtocolName } from '../../db/roll/live-sessions.ts'
import type { CloneSuspicion } from '../admission/clone-detector.ts'
import type { BrokerMetrics } from './metrics.ts'

/** The peer that a log line is about; unknown fields are absent. */
/** `protocol` where its CONNECT has been read. */
export type PeerInfo = {
  address: string
  fingerprint?: string | undefined
  deviceId?: string | undefined
  protocol?: ProtocolName
}
/** Reason Codes of the DISCONNECT that the broker sent, and of the one that came; null for none. */
export type EndCodes = { sent: number | null; received: number | null }

export type BrokerLog = ReturnType<typeof createBrokerLog>

const TOPIC_LOGGED_MAX = 256
const WHY_DROPPED = {
  outbound: 'queue full',
  too_large: 'larger than its subscriber takes (Maximum Packet Size)',
  offline: 'queue full',
  aged: 'it waited too long',
  retained: 'a will that its device may not retain any more was sent without RETAIN',
  shared: 'not acknowledged, and nobody to hand it on to, or no room to keep it for that',
}

const REPEAT_QUIET_MS = 10_000
const REFUSALS_LOGGED_PER_SECOND = 50

/** A reader of the log that stalls must not stall the broker: beyond this, lines are lost. */
const LOG_BYTES_WAITING_MAX = 8 * 1024 * 1024

export function createLog(level: string, destination?: DestinationStream): Logger {
  const options = { level, base: { service: 'broker' }, timestamp: pino.stdTimeFunctions.isoTime }
  return destination
    ? pino(options, destination)
    : pino(options, pino.destination({ dest: 2, sync: false, maxLength: LOG_BYTES_WAITING_MAX }))
}

export function createBrokerLog(log: Logger, metrics: BrokerMetrics) {
  const quiet = createQuiet()
  const refusalLines = createBudget(REFUSALS_LOGGED_PER_SECOND, skipped =>
    log.warn({ skipped }, 'refusals not logged'),
  )

  return {
    listening: (url: string) => log.info({ url }, 'listening'),
    stopping: (sessions: number) => log.info({ sessions }, 'stopping'),
    drained(tookMs: number, unfinished: number) {
      const line = { tookMs: Math.round(tookMs), unfinished }
      if (unfinished === 0) log.info(line, 'drained')
      else log.warn(line, 'drained')
    },
    stopped: () => log.info('stopped'),
    nodeDraining: ({ overMs, moved, serverReference }: DrainOrder, sessions: number) =>
      log.warn(
        { overMs, moved, serverReference, sessions },
        'draining this node: it takes no session and is not ready until it is resumed (rollcall node resume)',
      ),
    nodeDrained: ({ at }: DrainOrder) =>
      log.warn({ orderedAt: new Date(at) }, 'this node is drained: no session is left'),
    nodeResumed: () => log.info('this node takes sessions again'),
    gateReady: (gate: number, pid: number) => log.info({ gate, pid }, 'gate ready'),
    gateDied: (gate: number, how: string) => log.error({ gate, how }, 'gate died: starting it again'),

    /** `code` is the Reason Code of the CONNACK or DISCONNECT that was sent to it, where one is known. */
    refused(reason: Reason, peer: PeerInfo, detail?: string, code: number | null = null) {
      metrics.refusals.inc({ reason })
      // A flood is counted in full and logged in part.
      if (refusalLines.spend()) {
        const told = code === null ? {} : { code: reasonCodeText(code) }
        log.warn({ reason, ...peer, ...told, ...(detail === undefined ? {} : { detail }) }, 'refused')
      }
    },
    admitted(peer: PeerInfo) {
      metrics.admissions.inc()
      log.debug(peer, 'admitted')
    },
    connected(peer: PeerInfo, clean: boolean, protocol: ProtocolName) {
      metrics.connects.inc({ protocol })
      log.info({ ...peer, clean, protocol }, 'connected')
    },
    disconnected(peer: PeerInfo, why: string, codes: EndCodes) {
      if (codes.sent !== null) metrics.disconnects.inc({ code: reasonCodeText(codes.sent) })
      log.info({ ...peer, why, ...endCodeTexts(codes) }, 'disconnected')
    },
    cut(reason: Reason, peer: PeerInfo) {
      metrics.cuts.inc({ reason })
      log.warn({ reason, ...peer }, 'cut')
    },
    takenOver: (peer: PeerInfo, by: PeerInfo) =>
      log.info({ ...peer, byAddress: by.address }, 'taken over by a newer connection'),
    cloned({ kind, ...evidence }: CloneSuspicion, deviceId: string, suspended: boolean) {
      metrics.clones.inc({ kind })
      log.warn({ kind, ...evidence, deviceId, suspended }, 'certificate_cloned')
    },
    denied(reason: Reason, peer: PeerInfo, topic: string) {
      metrics.denials.inc({ reason })
      if (quiet(`${reason}:${peer.deviceId}`))
        log.warn({ reason, ...peer, topic: topic.slice(0, TOPIC_LOGGED_MAX) }, 'denied')
    },
    slowed(peer: PeerInfo) {
      metrics.slowed.inc()
      if (quiet(`slowed:${peer.deviceId}`)) log.warn(peer, 'device sends more than it may: reading it slower')
    },
    dropped(what: keyof typeof WHY_DROPPED, deviceId: string) {
      metrics.drops.inc({ queue: what })
      if (!quiet(`${what}:${deviceId}`)) return
      log.warn({ queue: what, deviceId }, `message dropped: ${WHY_DROPPED[what]}`)
    },
    sessionsUnkept(error: unknown) {
      metrics.sessionsUnkept.inc()
      if (quiet('sessions'))
        log.error({ error: (error as Error).message }, 'session store takes no writes: acknowledging none')
    },
    sessionsKept: (tookMs: number) => metrics.sessionsKeptSeconds.observe(tookMs / 1_000),
    sessionsSetAside(file: string, error: string) {
      metrics.sessionsSetAside.inc()
      log.error({ file, error }, 'session store damaged: set aside, starting with an empty one')
    },
    eventsDropped: (count: number) => metrics.eventsDropped.inc(count),
    eventLogFailed(error: unknown) {
      metrics.eventLogFailures.inc()
      log.error(
        { error: (error as Error).message },
        'event log cannot be written: events are lost, nothing else',
      )
    },
    eventLogSetAside(file: string, error: unknown) {
      metrics.eventLogFailures.inc()
      log.error(
        { file, error: (error as Error).message },
        'event log damaged: set aside, beginning a new one',
      )
    },
    historyFailed: (error: unknown) =>
      log.error({ error: (error as Error).message }, 'history cannot be written: figures wait or are lost'),
    historySetAside: (file: string, error: unknown) =>
      log.error({ file, error: (error as Error).message }, 'history damaged: set aside, beginning a new one'),
    serviceSocketFailed: (error: unknown) =>
      log.error({ error: (error as Error).message }, 'nothing can be tried out: no socket for the service'),
    retainedIndexFailed: (error: unknown) =>
      log.error(
        { error: (error as Error).message },
        'index of retained messages cannot be written: lists of them are old',
      ),
    clientFailed: (peer: PeerInfo, error: Error) =>
      log.info({ ...peer, error: error.message }, 'connection failed'),

    acknowledged: (epoch: number, sessionsCut: number, tookMs: number) =>
      log.info({ epoch, sessionsCut, tookMs: Math.round(tookMs * 10) / 10 }, 'epoch acknowledged'),
    registryInDoubt(error: unknown) {
      metrics.doubts.inc()
      if (quiet('registry')) log.error({ error: (error as Error).message }, 'registry in doubt: refusing')
    },
    registryOpen(error: unknown) {
      metrics.openDecisions.inc()
      if (quiet('open'))
        log.error(
          { error: (error as Error).message },
          'registry lost: still admitting the devices that it last listed',
        )
    },
    notesWaiting(error: unknown, waiting: number) {
      if (quiet('notes'))
        log.warn({ error: (error as Error).message, waiting }, 'registry does not take notes now')
    },
    trustReloaded: (issuers: number) =>
      log.info({ issuers }, 'server certificate and trust anchors reloaded'),
    trustNotReloaded: (error: unknown) =>
      log.error(
        { error: (error as Error).message },
        'server certificate and trust anchors not reloaded: the old stay',
      ),
    clusterTroubled(error: unknown) {
      const { message } = error as Error
      if (quiet(`cluster ${message}`))
        log.warn({ error: message }, 'trouble with the other nodes: tried again')
    },
    clusterEnded: (error: unknown) =>
      log.fatal(
        { error: (error as Error).message },
        'this node ends: others have its sessions, or will have them',
      ),
    engineFailed: (error: unknown) => log.error({ error: (error as Error).message }, 'engine error'),
  }
}

/** True at most once per key in ten seconds; remembers a bounded number of keys. */
function createQuiet(): (key: string) => boolean {
  const last = new Map<string, number>()
  return key => {
    const now = performance.now()
    const before = last.get(key)
    if (before !== undefined && now - before < REPEAT_QUIET_MS) return false
    if (last.size >= 1_000) last.clear()
    last.set(key, now)
    return true
  }
}

/** Lines beyond the budget are counted; the count is reported when the second is over. */
function createBudget(perSecond: number, onSkipped: (count: number) => void) {
  let spent = 0
  function end(): void {
    if (spent > perSecond) onSkipped(spent - perSecond)
    spent = 0
  }
  return {
    spend(): boolean {
      if (spent === 0) setTimeout(end, 1_000).unref()
      spent += 1
      return spent <= perSecond
    },
  }
}

/** As they are written in logs and events; nothing where there is none, and of those that came none that says no more than goodbye. */
export function endCodeTexts({ sent, received }: EndCodes): { code?: string; receivedCode?: string } {
  return {
    ...(sent !== null && { code: reasonCodeText(sent) }),
    ...(received !== null && received > 0 && { receivedCode: reasonCodeText(received) }),
  }
}
