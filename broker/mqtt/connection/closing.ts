// How a connection ends: its session is left at once, its will is sent or not, its last bytes go out. In order wherever the peer may
// come back: FIN behind close_notify, and time for the peer to close its side.

import { disconnectCodeOf } from '../protocol/encode.ts'
import type { Wills } from '../session/wills.ts'
import type { Client, SessionState } from '../state.ts'
import type { Output } from './output.ts'

/** How long a peer may take to close its side. */
const LINGER_MS = 1_000

export type Ending = {
  /** `destroyed` for a peer that may not return or does not read, so that nothing waits for it. */
  transport: 'in order' | 'destroyed'
  /** Whether the will is sent: at every end but DISCONNECT and the loss of the right [MQTT-3.1.2-8]. */
  will: boolean
  /** The last packet it is sent; null for none. */
  last: Buffer | null
}

export type Closing = ReturnType<typeof createClosing>

export function createClosing(parts: {
  output: Output
  wills(): Wills
  /** Its session goes on without it, or ends. */
  leave(client: Client): void
  /** Whether it is there still. */
  isStored(state: SessionState): boolean
}) {
  const { output } = parts

  return {
    close(client: Client, { transport, will, last }: Ending): void {
      if (client.phase === 'closed') return
      if (last !== null && transport === 'in order') output.send(client, last)
      if (last !== null) client.session.disconnectCode = disconnectCodeOf(last)
      output.flush(client)
      client.phase = 'closed'
      client.unread = null
      client.showing = null
      if (client.keepAlive !== null) clearTimeout(client.keepAlive)
      client.keepAlive = null
      const { state } = client
      parts.leave(client)
      const goesOn = state !== null && parts.isStored(state)
      if (will) parts.wills().connectionEnded(client, goesOn ? state.endsAt : 'ended')
      else parts.wills().drop(client)
      output.discard(client)
      if (transport === 'in order') endInOrder(client)
      else destroyAfter(client, last)
      const done = client.onEnd
      client.onEnd = null
      done?.()
    },
  }
}

/** How long the last packet to a cut peer may take to leave. */
const LAST_MS = 20

/** Cut; a last packet goes out before, where the socket takes it at once, and nothing waits for a peer that does not read. */
function destroyAfter({ stream }: Client, last: Buffer | null): void {
  if (last === null || stream.destroyed || stream.writableEnded || stream.writableLength > 0) {
    stream.destroy()
    return
  }
  const deadline = setTimeout(() => stream.destroy(), LAST_MS)
  stream.once('close', () => clearTimeout(deadline))
  stream.end(last, () => stream.destroy())
}

function endInOrder({ stream, session }: Client): void {
  if (stream.destroyed) return
  if (stream.readableEnded && stream.writableFinished) {
    stream.destroy()
    return
  }
  stream.end()
  stream.resume() // or nobody sees the peer close
  const deadline = setTimeout(() => stream.destroy(), LINGER_MS)
  stream.on('close', () => clearTimeout(deadline))
  // One that another took over holds that one up by nothing.
  if (session.replaced === true) stream.once('finish', () => stream.destroy())
}
