// Whether a CONNECT fits the identity the gate admitted: protocol, client ID, and username and password where they are judged. Pure.
import type { Reason } from '../db/reason.ts'

/** What the CONNECT packet asks for. */
export type ConnectRequest = {
  protocolVersion: number
  clientId: string
  /** Clean Session, or Clean Start of version 5. */
  clean: boolean
  username: string | undefined
  /** A password of at least one octet. */
  hasPassword: boolean
}

/** `ignore`: username and password are no identity and refuse nobody. `strict`: a username is the device ID, a password is empty. */
export const usernameModes = ['ignore', 'strict'] as const
export type UsernameMode = (typeof usernameModes)[number]

type ConnectDecision = { accepted: true; clientId: string } | { accepted: false; reason: Reason }

/** Strict binding: the client ID is the device ID and is never rewritten; an empty one is given it where the session is clean. */
export function decideConnect(
  request: ConnectRequest,
  deviceId: string,
  usernames: UsernameMode,
): ConnectDecision {
  const reason =
    refusal(request, deviceId) ?? (usernames === 'strict' ? strictRefusal(request, deviceId) : null)
  return reason === null ? { accepted: true, clientId: deviceId } : { accepted: false, reason }
}

function refusal(request: ConnectRequest, deviceId: string): Reason | null {
  const { protocolVersion: version } = request
  if (version !== 3 && version !== 4 && version !== 5) return 'protocol_unsupported' // [MQTT-3.1.2-2]
  // [MQTT-3.1.3-8]; version 5 assigns one in any case [MQTT-3.1.3-6].
  if (request.clientId === '' && !request.clean && version < 5) return 'client_id_missing'
  if (request.clientId !== '' && request.clientId !== deviceId) return 'client_id_mismatch'
  return null
}

function strictRefusal({ username, hasPassword }: ConnectRequest, deviceId: string): Reason | null {
  if (username !== undefined && username !== deviceId) return 'username_mismatch'
  return hasPassword ? 'password_refused' : null
}
