// The gates of a broker, as one: inside the engine's process or in processes of their own, with the TLS ticket keys they
// share, and told whenever what they trust or show has changed.
import type { Registry } from '../../db/open.ts'
import { type Gate, type GateParts, openGate } from '../gate/index.ts'
import { createReadTrust, serverFiles } from '../gate/trust.ts'
import { createTicketKeys } from '../ticket-keys.ts'
import { watchTlsFiles } from '../tls-files-watch.ts'
import { type GatePoolParts, openGatePool } from './pool.ts'

export type Gates = {
  /** Begins to accept; gives the port. Rejects where the port is taken or a file is missing. */
  open(): Promise<number>
  /** Server certificate, key and trust anchors are read anew. Live connections keep what they have. */
  reload(): void
  /** The registry changed: whoever waits for CONNECT and may be concerned is judged anew. */
  changed: Gate['changed']
  /** Stops accepting; resolves when the last connection is gone. */
  stop(): Promise<void>
}

export type GatesParts = Omit<GatePoolParts, 'gates' | 'ticketKeys'> &
  Pick<GateParts, 'admit' | 'arrivals'> & { registry: Registry }

export function createGates(parts: GatesParts): Gates {
  const { settings, data } = parts
  const ticketKeys = createTicketKeys(settings.ticketLifetimeMs)
  let tlsFiles: { stop(): void } | null = null
  let gate: Gate | null = null
  let changedMeanwhile = false

  /** What was verified under other trust anchors is not resumed: the ticket keys change with them. */
  function reload(): void {
    if (gate === null) changedMeanwhile = true
    else gate.reload(ticketKeys.renew())
  }

  return {
    async open() {
      tlsFiles = watchTlsFiles(serverFiles(data), reload)
      const opened =
        settings.gates > 0
          ? await openGatePool({ ...parts, gates: settings.gates, ticketKeys: ticketKeys.now })
          : await openGate({
              ...parts,
              shared: false,
              readTrust: createReadTrust(parts.registry, data, settings),
              ticketKeys: ticketKeys.now(),
            })
      gate = opened
      ticketKeys.rotate(opened.useTicketKeys)
      if (changedMeanwhile) reload()
      return opened.port
    },
    reload,
    changed: change => gate?.changed(change),
    async stop() {
      tlsFiles?.stop()
      ticketKeys.stop()
      await gate?.stop()
    },
  }
}
