// A consumer whose socket is full holds up whoever publishes to it, in aedes, until it reads. That is right for a moment: it is flow
// control. One that does not read at all is left alone with it: from then on nobody waits for it.
import type { Inside } from './aedes-client.ts'

/** How long publishers wait for a consumer that does not read. */
const STALL_MS = 100

export function holdUpNobody(client: Inside): void {
  const { deliver0, deliverQoS, waitForDrain, _handleDrain } = client
  let stall: NodeJS.Timeout | null = null
  let stalled = false

  /** What is still on its way to it counts as delivered, for whoever waits; its bytes stay in the socket, within their bounds. */
  function leaveAlone(): void {
    stalled = true
    const waiting = client._pendingDrains
    client._pendingDrains = []
    for (const done of waiting) setImmediate(done, null, client)
  }

  client.waitForDrain = done => {
    waitForDrain.call(client, done)
    if (!stalled) stall ??= setTimeout(leaveAlone, STALL_MS).unref()
  }
  client._handleDrain = () => {
    if (stall !== null) clearTimeout(stall)
    stall = null
    stalled = false
    _handleDrain.call(client)
  }

  // Retained messages are sent to this client alone: nobody else waits, and they keep its pace.
  const routed =
    (deliver: Inside['deliver0']): Inside['deliver0'] =>
    (packet, done) => {
      if (!stalled || packet.retain) return deliver(packet, done)
      deliver(packet, nobody)
      setImmediate(done)
    }
  client.deliver0 = routed(deliver0)
  client.deliverQoS = routed(deliverQoS)
}

function nobody(): void {}
