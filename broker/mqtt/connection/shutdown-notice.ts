// What clients of MQTT 5 are told when the broker stops, where a setting wants it: most take any DISCONNECT from a server for final, so
// that by default the connection is closed without one.

import type { ShutdownNotice } from '../../settings/shutdown-notice.ts'
import { encodeDisconnect } from '../protocol/encode.ts'
import { codes } from '../protocol/reason-codes.ts'
import type { Client } from '../state.ts'

/** Reason Codes of MQTT 5 §3.14.2.1 and what goes with them as Reason String. */
const notices = {
  server_shutting_down: [codes.serverShuttingDown, 'the server is shutting down: connect again'],
  use_another_server: [codes.useAnotherServer, 'connect to another server, for now'],
  server_moved: [codes.serverMoved, 'connect to another server, from now on'],
} as const satisfies Record<Exclude<ShutdownNotice, 'none'>, readonly [number, string]>

/** DISCONNECT for this client; null where it is closed without. `reference` is a Server Reference (§4.13), empty for none. */
export function shutdownNotice(
  { version, phase, packetBytesMax }: Pick<Client, 'version' | 'phase' | 'packetBytesMax'>,
  notice: ShutdownNotice,
  reference: string,
): Buffer | null {
  if (notice === 'none' || version !== 5 || phase !== 'open') return null
  const [code, text] = notices[notice]
  const to = reference === '' ? undefined : reference
  // No packet is larger than the client takes [MQTT-3.14.2-3].
  const forms = [encodeDisconnect(code, text, to), encodeDisconnect(code, undefined, to)]
  return forms.find(form => form.length <= packetBytesMax) ?? encodeDisconnect(code)
}
