// Makes what the engine keeps of one network connection that the gate admitted.
import type { Duplex } from 'node:stream'
import type { Client } from '../state.ts'
import type { Session } from './sessions.ts'

/** Topic aliases of one connection, each way. */
export const TOPIC_ALIASES_MAX = 16

const NO_LIMIT: Client['announced'] = { qosMax: 2, retains: true }

export function newClient(session: Session, stream: Duplex): Client {
  return {
    session,
    stream,
    phase: 'new',
    version: 4,
    state: null,
    will: null,
    noProblemInformation: false,
    isResumed: false,
    sessionExpiryAsked: 0,
    announced: NO_LIMIT,
    receiveMaximum: 65_535,
    packetBytesMax: Number.POSITIVE_INFINITY,
    aliases: null,
    aliasesGiven: null,
    aliasMaximum: 0,
    unread: null,
    onEnd: null,
    holds: 0,
    heardAt: performance.now(),
    acknowledgedAt: 0,
    keepAlive: null,
    bucket: null,
    sliceEndsAt: 0,
    inHandBytes: 0,
    isHeldInHand: false,
    out: [],
    outBytes: 0,
    batches: [],
    isFull: false,
    isStalled: false,
    holding: null,
    stall: null,
    onRoom: null,
    showing: null,
  }
}
