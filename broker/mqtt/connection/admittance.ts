// Connections from the door to their end: let in or turned away, cut when their right ends, ended when they break a rule, and noted
// for operators at every step.
import type { Duplex } from 'node:stream'
import { rightEndsAt } from '../../../admission/decide.ts'
import type { Reason } from '../../../db/reason.ts'
import { noRights } from '../../../policy/rights.ts'
import type { BrokerSettings } from '../../config.ts'
import type { AdmittedConnection, HandedOver } from '../../door.ts'
import { PublishDenied } from '../handlers/publish.ts'
import type { EngineEvents, EngineParts } from '../interface.ts'
import { QuotaExceeded } from '../persistence/quota-exceeded.ts'
import { refusingConnack3 } from '../protocol/encode.ts'
import { unboundRights, unreadRights } from '../rights-desk.ts'
import type { Client } from './client.ts'
import type { Closing } from './closing.ts'
import { holderOf, isCut, newSession, type Session, type Sessions, whoIs } from './sessions.ts'

/** CONNACK, return code 5 (MQTT 3.1.1 §3.2.2.3). */
const NOT_AUTHORIZED = refusingConnack3(5)

export function createAdmittance(
  parts: Pick<EngineParts, 'admit' | 'rightsOf'> & {
    settings: BrokerSettings
    events: EngineEvents
    sessions: Sessions
    clients: Map<Session, Client>
    closing: Closing
    /** The broker stops: nobody new comes in. */
    isClosed(): boolean
    /** Calls back once what it sent before it closed its side is handled. */
    finish(client: Client, done: () => void): void
    /** Reads what it sends from now on. */
    takeOn(session: Session, stream: Duplex): Client
  },
) {
  const { admit, rightsOf, events, sessions, clients, closing, settings } = parts

  function door({ stream, ...connection }: AdmittedConnection): HandedOver {
    if (parts.isClosed()) return shut(stream)
    const { identity } = connection
    const session = newSession(connection)
    // First registered, then asked: a revocation either finds the session or is seen by the question.
    sessions.add(session)
    const admission = admit(identity)
    if (!admission.admitted) return turnAway(session, stream, admission.reason, admission.record !== null)
    const { record } = admission
    session.serialNumber = record.serialNumber
    session.issuerId = record.issuerId
    session.rightEndsAt = rightEndsAt(record)
    session.firstUse = record.firstUsedAt === null || record.deviceState === 'registered'
    session.rights = rightsOf(holderOf(session))
    if (session.rights === unboundRights) return turnAway(session, stream, 'policy_unbound', true)
    if (session.rights === unreadRights) return turnAway(session, stream, 'registry_unavailable', false)
    events.admitted(whoIs(session))
    const client = parts.takeOn(session, stream)
    clients.set(session, client)
    const deadline = setTimeout(() => {
      if (client.phase === 'new') note(session, 'connect_timeout')
      if (client.phase === 'new') closing.close(client, { transport: 'in order', will: false, last: null })
    }, settings.connectTimeoutMs)
    stream.once('data', () => {
      if (client.phase !== 'new') clearTimeout(deadline)
    })
    stream.on('error', error => {
      if (client.phase !== 'closed') events.clientFailed(whoIs(session), error)
    })
    stream.once('close', () => {
      clearTimeout(deadline)
      parts.finish(client, () => {
        client.onEnd = null
        closing.close(client, { transport: 'destroyed', will: true, last: null })
        ended(session)
      })
    })
    return {
      drop(reason: Reason) {
        session.ended ??= reason
        closing.close(client, { transport: 'in order', will: true, last: null })
      },
    }
  }

  /** Its CONNECT has arrived: whoever is listed is told. */
  function turnAway(session: Session, stream: Duplex, reason: Reason, listed: boolean): HandedOver {
    sessions.remove(session)
    events.refused(reason, whoIs(session))
    stream.on('error', () => {})
    if (listed) stream.end(NOT_AUTHORIZED, () => stream.destroy())
    else stream.end(() => stream.destroy())
    return { drop() {} }
  }

  function note(session: Session, reason: Reason, detail?: string): void {
    if (session.ended !== null) return
    session.ended = reason
    if (session.connected) events.cut(reason, whoIs(session))
    else events.refused(reason, whoIs(session), detail)
  }

  function ended(session: Session): void {
    sessions.remove(session)
    clients.delete(session)
    if (session.filters.size > 0) {
      // Who took it over may have subscribed already.
      const heir = sessions.ofDevice(session.identity.deviceId).at(-1)
      events.subscriptionsChanged(whoIs(heir ?? session), heir?.filters ?? new Map())
    }
    if (session.connected) events.disconnected(whoIs(session), session.ended ?? 'closed')
  }

  function end(session: Session, reason: Reason): void {
    const client = clients.get(session)
    if (client === undefined) return
    note(session, reason)
    closing.close(client, { transport: 'in order', will: true, last: null })
  }

  return {
    door,
    end,

    /** Ends a live session at once and silences its will, in memory and stored. */
    cut(session: Session, reason: Reason): void {
      if (session.ended !== null && isCut(session)) return
      session.ended = reason
      session.rights = noRights
      const client = clients.get(session)
      if (client === undefined) return
      closing.close(client, { transport: 'destroyed', will: false, last: null })
      client.stream.destroy()
      events.cut(reason, whoIs(session))
    },

    /** It broke a rule, or something failed on its way. */
    fail(client: Client, error: Error): void {
      const { session } = client
      if (client.phase === 'closed') return
      if (session.ended === null) {
        const reason = reasonOf(error, session.connected)
        if (reason !== null) note(session, reason, error.message)
        if (error instanceof QuotaExceeded) events.denied(error.reason, whoIs(session), error.topic)
        events.clientFailed(whoIs(session), error)
        session.ended ??= error.message
      }
      closing.close(client, { transport: 'in order', will: true, last: null })
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

    /** The broker ends; resolves once the connection is closed. */
    closeLast(client: Client): Promise<void> {
      const closed = new Promise<void>(resolve => {
        if (client.stream.closed) resolve()
        else client.stream.once('close', () => resolve())
      })
      closing.close(client, { transport: 'in order', will: true, last: null })
      return closed
    },
  }
}

/** Why a connection was given up, where that is one of our reasons. */
function reasonOf(error: Error, connected: boolean): Reason | null {
  if (error instanceof QuotaExceeded) return error.reason
  if (error.message === 'publish_denied' && error instanceof PublishDenied) return 'publish_denied'
  if (error.message === 'keep alive timeout') return 'keepalive_timeout'
  return connected ? null : 'packet_malformed'
}

function shut(stream: Duplex): HandedOver {
  stream.end(() => stream.destroy())
  return { drop() {} }
}
