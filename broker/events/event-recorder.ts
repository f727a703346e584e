// Records the broker's events: connections, disconnections with their reason, refusals, clones. In a flood of refusals all are
// counted and some are recorded. Decides nothing; no caller waits for it.
import { createEventLog, type EventLog, type EventLogOptions } from '../../db/events/event-log.ts'
import { type Reason, reasons } from '../../db/reason.ts'
import { reasonCodeText } from '../../db/reason-v5.ts'
import type { DenialNote, DeniedAction } from '../../db/roll/denials.ts'
import type { ProtocolName } from '../../db/roll/live-sessions.ts'
import type { CloneSuspicion } from '../admission/clone-detector.ts'
import { type BrokerLog, type EndCodes, endCodeTexts, type PeerInfo } from '../observability/logging.ts'

export type EventRecorder = {
  connected(peer: PeerInfo, clean: boolean, protocol: ProtocolName): void
  disconnected(peer: PeerInfo, why: string, codes: EndCodes): void
  refused(reason: Reason, peer: PeerInfo, code?: number | null): void
  /** A policy denied something: counted, and told where there is a note of it. */
  denied(action: DeniedAction, note: DenialNote | null): void
  cloned(suspicion: CloneSuspicion, deviceId: string, suspended: boolean): void
  /** An operator has drained this node, and no session is left. */
  nodeDrained(): void
  close(): void
}

/** A repeated refusal within this time is counted; the count is recorded when the time is over. */
const REPEAT_MS = 60_000
const REMEMBERED_MAX = 10_000
/** Further refusals of the same second are recorded together, by reason. */
const REFUSALS_PER_SECOND = 50
/** Denials of the same second beyond these are counted alone. */
const DENIALS_PER_SECOND = 20
const LOOK_EVERY_MS = 1_000

type Repeated = { reason: Reason; peer: PeerInfo; code: number | null; since: number; times: number }

type Troubles = Pick<BrokerLog, 'eventsDropped' | 'eventLogFailed' | 'eventLogSetAside'>

/** Records the events of this node in this file; records nothing unless `wanted`. `shared` where the file is one of several. */
export function openEventRecorder({
  wanted,
  events,
  ...parts
}: Pick<EventLogOptions, 'file' | 'node' | 'now' | 'shared' | 'onCounted'> & {
  wanted: boolean
  events: Troubles
}): EventRecorder {
  if (!wanted)
    return {
      ...{ connected() {}, disconnected() {}, refused() {}, denied() {}, cloned() {} },
      ...{ nodeDrained() {}, close() {} },
    }
  const troubles = {
    onDropped: events.eventsDropped,
    onFailed: events.eventLogFailed,
    onSetAside: events.eventLogSetAside,
  }
  return createEventRecorder(createEventLog({ ...parts, ...troubles }), parts.now)
}

/** Ends of a session that no reason of a refusal names. */
function isEnd(why: string): boolean {
  return why === 'closed' || why === 'taken_over'
}

export function createEventRecorder(log: EventLog, now: () => number): EventRecorder {
  /** In the order of their first record. */
  const repeated = new Map<string, Repeated>()
  const beyond = new Map<Reason, number>()
  let toldThisSecond = 0
  let deniedThisSecond = 0
  const timer = setInterval(tellWhatWaits, LOOK_EVERY_MS)
  timer.unref()

  function tell({ reason, peer, code }: Omit<Repeated, 'since' | 'times'>, times: number): void {
    const { deviceId, fingerprint, address, protocol } = peer
    const detail = {
      address,
      ...(protocol !== undefined && { protocol }),
      ...(code !== null && { code: reasonCodeText(code) }),
      ...(times > 1 && { count: times }),
    }
    log.append({ at: now(), kind: 'refused', deviceId, fingerprint, reason, detail }, 'counted')
  }

  function forget(key: string, one: Repeated): void {
    repeated.delete(key)
    if (one.times > 0) tell(one, one.times)
  }

  function tellWhatWaits(): void {
    toldThisSecond = 0
    deniedThisSecond = 0
    for (const [reason, count] of beyond) {
      log.append({ at: now(), kind: 'refused', reason, detail: { count } }, 'counted')
    }
    beyond.clear()
    for (const [key, one] of repeated) {
      if (now() - one.since < REPEAT_MS && now() >= one.since) break
      forget(key, one)
    }
  }

  return {
    connected: ({ deviceId, fingerprint, address }, clean, protocol) =>
      log.append({
        at: now(),
        kind: 'connected',
        deviceId,
        fingerprint,
        detail: { address, clean, protocol },
      }),

    disconnected({ deviceId, fingerprint, address, protocol }, why, codes) {
      // The message of a library is for the log; an event has one word of a known list.
      const reason = isEnd(why) || Object.hasOwn(reasons, why) ? why : 'connection_failed'
      const detail = { address, ...(protocol !== undefined && { protocol }), ...endCodeTexts(codes) }
      log.append({ at: now(), kind: 'disconnected', deviceId, fingerprint, reason, detail })
    },

    refused(reason, peer, code = null) {
      log.tally('refused', reason, now())
      const key = `${reason} ${peer.fingerprint ?? peer.address}`
      const before = repeated.get(key)
      if (before !== undefined) {
        before.times += 1
        return
      }
      if (toldThisSecond >= REFUSALS_PER_SECOND) {
        beyond.set(reason, (beyond.get(reason) ?? 0) + 1)
        return
      }
      toldThisSecond += 1
      tell({ reason, peer, code }, 1)
      if (repeated.size >= REMEMBERED_MAX) {
        const [oldest, one] = repeated.entries().next().value!
        forget(oldest, one)
      }
      repeated.set(key, { reason, peer, code, since: now(), times: 0 })
    },

    denied(action, note) {
      const kind = `${action}_denied` as const
      log.tally(kind, kind, now())
      if (note === null || deniedThisSecond >= DENIALS_PER_SECOND) return
      deniedThisSecond += 1
      const { at, deviceId, fingerprint, address, topic, qos, retain, verdict, decidedBy } = note
      const detail = { address, topic, qos, retain, verdict, decidedBy }
      log.append({ at, kind, deviceId, fingerprint, reason: kind, detail }, 'counted')
    },

    cloned({ kind, fingerprint, ...evidence }, deviceId, suspended) {
      const detail = { how: kind, ...evidence, suspended }
      log.append({ at: now(), kind: 'cloned', deviceId, fingerprint, reason: 'certificate_cloned', detail })
    },

    nodeDrained: () => log.append({ at: now(), kind: 'node_drained' }),

    close() {
      clearInterval(timer)
      for (const [key, one] of repeated) forget(key, one)
      tellWhatWaits()
      log.close()
    },
  }
}
