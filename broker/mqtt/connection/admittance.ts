// Connections from the gate to their end: admitted or refused, cut when their right ends, ended when they break a rule, and noted
// for operators at every step.

import type { Duplex } from 'node:stream'
import { rightEndsAt } from '../../../admission/decide.ts'
import type { Reason } from '../../../db/reason.ts'
import { reasonString, v5Codes } from '../../../db/reason-v5.ts'
import { noRights } from '../../../policy/rights.ts'
import type { AdmittedConnection, ConnectionHandle } from '../../connection-handler.ts'
import type { BrokerSettings } from '../../settings/validation.ts'
import type { EngineEvents } from '../engine-events.ts'
import { PublishDenied } from '../handlers/publish.ts'
import type { EngineOptions } from '../interface.ts'
import { QuotaExceeded } from '../persistence/quota-exceeded.ts'
import { PacketFault } from '../protocol/byte-reader.ts'
import { encodeDisconnect, refusingConnack5 } from '../protocol/encode.ts'
import { checkFirstPacket, refusingConnack } from '../protocol/packet-frames.ts'
import { codes } from '../protocol/reason-codes.ts'
import { unboundRights, unreadRights } from '../rights-resolver.ts'
import type { Client } from '../state.ts'
import type { Closing } from './closing.ts'
import { type Redirect, redirectingDisconnect } from './redirect.ts'
import { isCut, newSession, peerInfoOf, principalOf, type Session, type Sessions } from './sessions.ts'
import { shutdownNotice } from './shutdown-notice.ts'

export function createAdmittance(
  parts: Pick<EngineOptions, 'admit' | 'rightsOf'> & {
    settings: BrokerSettings
    events: EngineEvents
    sessions: Sessions
    closing: Closing
    /** The broker stops: nobody new comes in. */
    isClosed(): boolean
    /** Calls back once what it sent before it closed its side is handled. */
    finish(client: Client, done: () => void): void
    /** Whether its connection would end in the middle of an exchange. */
    isHalfDone(client: Client): boolean
    /** Where clients are sent instead; null where they may stay. */
    redirectedTo(): Redirect | null
    /** Reads what it sends from now on. */
    takeOn(session: Session, stream: Duplex): Client
  },
) {
  const { admit, rightsOf, events, sessions, closing, settings } = parts

  function handleConnection({ stream, ...connection }: AdmittedConnection): ConnectionHandle {
    if (parts.isClosed()) return shut(stream)
    const { identity } = connection
    const session = newSession(connection)
    // First registered, then asked: a revocation either finds the session or is seen by the question.
    sessions.add(session)
    const admission = admit(identity, connection.record)
    if (!admission.admitted) return turnAway(session, stream, admission.reason, admission.record !== null)
    const { record } = admission
    session.serialNumber = record.serialNumber
    session.issuerId = record.issuerId
    session.rightEndsAt = rightEndsAt(record)
    session.firstUse = record.firstUsedAt === null || record.deviceState === 'registered'
    session.rights = rightsOf(principalOf(session))
    if (session.rights === unboundRights) return turnAway(session, stream, 'policy_unbound', true)
    if (session.rights === unreadRights) return turnAway(session, stream, 'registry_unavailable', false)
    events.admitted(peerInfoOf(session))
    const client = parts.takeOn(session, stream)
    session.client = client
    stream.on('error', error => {
      if (client.phase !== 'closed') events.clientFailed(peerInfoOf(session), error)
    })
    stream.on('close', () => {
      parts.finish(client, () => {
        client.onEnd = null
        closing.close(client, { transport: 'destroyed', will: true, last: null })
        ended(session)
      })
    })
    return {
      drop(reason: Reason) {
        session.ended ??= reason
        const last = lastFor(client, v5Codes[reason].disconnect, reason)
        closing.close(client, { transport: 'in order', will: true, last })
      },
    }
  }

  /** Its CONNECT has arrived: a listed device gets an answer. */
  function turnAway(session: Session, stream: Duplex, reason: Reason, listed: boolean): ConnectionHandle {
    sessions.remove(session)
    events.refused(reason, peerInfoOf(session))
    stream.on('error', () => {})
    if (listed) answer(stream, reason)
    else stream.end(() => stream.destroy())
    return { drop() {} }
  }

  function note(session: Session, reason: Reason, detail?: string): void {
    if (session.ended !== null) return
    session.ended = reason
    if (session.connected) events.cut(reason, peerInfoOf(session))
    else events.refused(reason, peerInfoOf(session), detail)
  }

  function ended(session: Session): void {
    sessions.remove(session)
    session.client = null
    if (session.filters.size > 0) {
      // The connection that took it over may have subscribed already.
      const heir = sessions.ofDevice(session.identity.deviceId).at(-1)
      events.subscriptionsChanged(peerInfoOf(heir ?? session), heir?.filters ?? new Map())
    }
    if (!session.connected) return
    events.disconnected(peerInfoOf(session), session.ended ?? (session.replaced ? 'taken_over' : 'closed'), {
      sent: session.disconnectCode,
      received: session.receivedCode,
    })
    events.connectionEnded(session)
  }

  function end(session: Session, reason: Reason): void {
    const { client } = session
    if (client === null) return
    note(session, reason)
    closing.close(client, {
      transport: 'in order',
      will: true,
      last: lastFor(client, v5Codes[reason].disconnect, reason),
    })
  }

  return {
    handleConnection,
    end,

    /** Ends a live session at once and silences its will, in memory and stored. */
    cut(session: Session, reason: Reason): void {
      if (session.ended !== null && isCut(session)) return
      session.ended = reason
      session.rights = noRights
      const { client } = session
      if (client === null) return
      if (client.phase === 'closed') client.stream.destroy() // it was ending in order
      const last = lastFor(client, codes.administrativeAction, reason)
      closing.close(client, { transport: 'destroyed', will: false, last })
      events.cut(reason, peerInfoOf(session))
    },

    /** It broke a rule, or something failed on its way. */
    fail(client: Client, error: Error): void {
      const { session } = client
      if (client.phase === 'closed') return
      const reason = reasonOf(error, session.connected)
      if (session.ended === null) {
        if (reason !== null) note(session, reason, error.message)
        if (error instanceof QuotaExceeded) events.denied(error.reason, peerInfoOf(session), error.topic)
        events.clientFailed(peerInfoOf(session), error)
        session.ended ??= error.message
      }
      closing.close(client, { transport: 'in order', will: true, last: lastAfter(client, error, reason) })
    },

    endSlow(client: Client): void {
      if (client.phase === 'closed') return
      note(client.session, 'consumer_too_slow')
      closing.close(client, { transport: 'in order', will: true, last: null })
    },

    /** What this client was about to be told is not on disk. */
    lost(client: Client): void {
      if (client.phase === 'closed') return
      client.session.ended ??= 'what it sent could not be kept'
      closing.close(client, { transport: 'in order', will: true, last: null })
    },

    /**
     * Ends a session of a node that is drained, in order; with `patient` not while something of it is half done. Gives whether it ended.
     */
    sendAway(session: Session, patient: boolean): boolean {
      const { client } = session
      const redirect = parts.redirectedTo()
      if (client === null || redirect === null) return true
      if (patient && parts.isHalfDone(client)) return false
      const last = redirectingDisconnect(client, redirect)
      note(session, 'node_drained')
      closing.close(client, { transport: 'in order', will: true, last })
      return true
    },

    /** The broker ends; resolves once the connection is closed. */
    closeLast(client: Client): Promise<void> {
      const closed = new Promise<void>(resolve => {
        if (client.stream.closed) resolve()
        else client.stream.once('close', () => resolve())
      })
      client.session.ending = 'broker_stopped'
      const last = shutdownNotice(client, settings.shutdownNotice, settings.serverReference)
      closing.close(client, { transport: 'in order', will: true, last })
      return closed
    },
  }
}

/** DISCONNECT of version 5 before its connection is closed; null for none (§3.14). */
function lastFor(client: Client, code: number | null, reason: Reason): Buffer | null {
  if (client.version !== 5 || client.phase !== 'open' || code === null) return null
  const whole = encodeDisconnect(code, reasonString(reason))
  return whole.length <= client.packetBytesMax ? whole : encodeDisconnect(code) // [MQTT-3.14.2-3]
}

/** The same where a rule was broken; before CONNACK it is that which tells (§4.13). */
function lastAfter(client: Client, error: Error, reason: Reason | null): Buffer | null {
  if (client.version !== 5) return null
  const code = error instanceof PacketFault ? error.code : reason === null ? null : v5Codes[reason].disconnect
  if (client.phase === 'new') return code === null ? null : refusingConnack5(code, error.message)
  if (client.phase !== 'open' || code === null) return null
  if (reason !== null && !(error instanceof PacketFault)) return lastFor(client, code, reason)
  const whole = encodeDisconnect(code, error.message)
  return whole.length <= client.packetBytesMax ? whole : encodeDisconnect(code)
}

/** Why a connection was given up, where that is one of our reasons. */
function reasonOf(error: Error, connected: boolean): Reason | null {
  if (error instanceof QuotaExceeded) return error.reason
  if (error.message === 'publish_denied' && error instanceof PublishDenied) return 'publish_denied'
  if (error.message === 'keep alive timeout') return 'keepalive_timeout'
  return connected ? null : 'packet_malformed'
}

/** As the version has it that its CONNECT, whose beginning has come, asks for. */
function answer(stream: Duplex, reason: Reason): void {
  stream.once('data', (bytes: Buffer) => {
    const first = checkFirstPacket(bytes, Number.POSITIVE_INFINITY)
    const level = first.verdict === 'connect' ? first.protocolLevel : 4
    stream.end(refusingConnack(level, reason), () => stream.destroy())
  })
}

function shut(stream: Duplex): ConnectionHandle {
  stream.end(() => stream.destroy())
  return { drop() {} }
}
