// How connections begin and end, and the handlers of what they send.
import { protocolNames } from '../../../db/roll/live-sessions.ts'
import { createAdmittance } from '../connection/admittance.ts'
import { newClient } from '../connection/client.ts'
import { createClosing } from '../connection/closing.ts'
import { peerInfoOf, principalOf } from '../connection/sessions.ts'
import { createConnectHandler } from '../handlers/connect.ts'
import type { HandlerContext } from '../handlers/handler-context.ts'
import { createHandlers } from '../handlers/index.ts'
import { goOn } from '../handlers/puback.ts'
import type { EngineOptions } from '../interface.ts'
import type { Foundation } from './foundation.ts'
import type { Messaging } from './messaging.ts'
import type { StoredState } from './stored-state.ts'
import type { Transport } from './transport.ts'

export function createConnections(
  foundation: Foundation,
  transport: Transport,
  messaging: Messaging,
  state: StoredState,
  options: EngineOptions,
) {
  const { sessions, events, now } = foundation
  const { input, output, throttle, drain } = transport
  const { table, storedState, wills } = state
  const closing = createClosing({
    isStored: session => table.get(session.clientId) === session,
    output,
    wills: () => wills,
    leave(client) {
      throttle.closed(client)
      messaging.retained.closed(client)
      table.leave(client)
    },
  })
  const admittance = createAdmittance({
    ...options,
    events,
    sessions,
    closing,
    isClosed: drain.begun,
    isHalfDone: drain.isHalfDone,
    redirectedTo: () => foundation.redirect.to,
    finish: input.finish,
    takeOn(session, stream) {
      const client = newClient(session, stream)
      stream.on('data', chunk => input.receive(client, chunk))
      return client
    },
  })
  const context: HandlerContext = {
    ...foundation,
    ...transport,
    ...messaging,
    ...state,
    closing,
    isDraining: drain.begun,
    fail: admittance.fail,
    ready(client) {
      const { session } = client
      sessions.connect(session)
      if (session.connect !== null) session.connect.at = now()
      const isKept = client.state?.isKept === true
      if (isKept) storedState.keepsSession(principalOf(session))
      else storedState.leavesNothing(session.identity.deviceId)
      events.connected(peerInfoOf(session), !isKept, protocolNames[client.version])
      events.connectionAccepted(session)
      if (session.firstUse) events.firstUse(session.identity.fingerprint, session.identity.deviceId)
    },
  }
  return {
    admittance,
    closing,
    connect: createConnectHandler(context),
    handle: createHandlers(context),
    goOn: goOn.bind(null, context),
  }
}
