// What clients are told by a node that an operator has drained: to use another server, for now or from now on (MQTT 5 §4.13).
import { reasonString } from '../../../db/reason-v5.ts'
import { refusingConnack3, refusingConnack5 } from '../protocol/encode.ts'
import { codes } from '../protocol/reason-codes.ts'
import type { Client } from '../state.ts'
import { shutdownNotice } from './shutdown-notice.ts'

/** `moved`: from now on. `serverReference`: where to go (§4.11); empty where that is not said. */
export type Redirect = { moved: boolean; serverReference: string }

const SERVER_UNAVAILABLE = 3 // of 3.1.1 (§3.2.2.3)

/** The Reason Code. */
export function redirectCode({ moved }: Redirect): number {
  return moved ? codes.serverMoved : codes.useAnotherServer
}

/** CONNACK for a client that comes. */
export function redirectingConnack(
  { version, packetBytesMax }: Pick<Client, 'version' | 'packetBytesMax'>,
  redirect: Redirect,
): Buffer {
  if (version !== 5) return refusingConnack3(SERVER_UNAVAILABLE)
  const code = redirectCode(redirect)
  const to = redirect.serverReference === '' ? undefined : redirect.serverReference
  const forms = [
    refusingConnack5(code, reasonString('node_drained'), to),
    refusingConnack5(code, undefined, to),
  ]
  return forms.find(form => form.length <= packetBytesMax) ?? refusingConnack5(code) // [MQTT-3.2.2-19]
}

/** DISCONNECT for a client that is connected; null for one that is closed without. */
export function redirectingDisconnect(client: Client, { moved, serverReference }: Redirect): Buffer | null {
  return shutdownNotice(client, moved ? 'server_moved' : 'use_another_server', serverReference)
}
