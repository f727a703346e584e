// Bytes in and bytes out of every connection: read within rates, written within bounds, drained when the broker stops.

import { createInput } from '../connection/input.ts'
import { createOutput } from '../connection/output.ts'
import { peerInfoOf } from '../connection/sessions.ts'
import { createThrottle } from '../connection/throttle.ts'
import { createDrain } from '../drain.ts'
import { createDecoder } from '../protocol/decode.ts'
import type { Connect, Incoming } from '../protocol/packets.ts'
import type { Client } from '../state.ts'
import type { Foundation } from './foundation.ts'

/** What the bytes of a connection lead to; these parts are made later. */
export type Reactions = {
  connect(client: Client, packet: Connect): void
  handle(client: Client, packet: Exclude<Incoming, Connect>): void
  /** It broke a rule. */
  fail(client: Client, error: Error): void
  endSlow(client: Client): void
  /** What this client was about to be told is not on disk. */
  lost(client: Client): void
  /** Its socket takes more again. */
  goOn(client: Client): void
}

export type Transport = ReturnType<typeof createTransport>

export function createTransport(
  { settings, traffic, events, clients, boundsOf }: Foundation,
  reactions: Reactions,
) {
  const drain = createDrain({ clients, output: () => output })
  const input = createInput({
    decoder: createDecoder(settings),
    traffic,
    throttle: () => throttle,
    onConnect: reactions.connect,
    onPacket: reactions.handle,
    onFault: reactions.fail,
  })
  const { hold, release } = input
  const output = createOutput({
    traffic,
    timeoutMs: settings.outboundTimeoutMs,
    isBusy: () => throttle.isBusy(),
    onTimeout: reactions.endSlow,
    onLost: reactions.lost,
    onRoom: reactions.goOn,
    onWritten: client => throttle.written(client),
    hold,
    release,
  })
  const throttle = createThrottle({
    boundsOf,
    inHandBytesMax: settings.packetBytesMax,
    onHeld: ({ session }) => events.slowed(peerInfoOf(session)),
    hold,
    release,
  })
  return { drain, input, output, throttle }
}
