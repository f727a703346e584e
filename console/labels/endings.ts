// How a connection ended, in words for the page.
import { reasonLabel } from './reasons.ts'

const endings: Record<string, string> = {
  client_disconnect: 'The device disconnected',
  connection_lost: 'The connection was lost: device or network',
  taken_over: 'Another connection of the device took over',
  broker_stopped: 'The broker stopped',
  broker_lost: 'The broker ended without warning',
}

export function endingLabel(reason: string): string {
  return Object.hasOwn(endings, reason) ? endings[reason]! : reasonLabel(reason).title
}
