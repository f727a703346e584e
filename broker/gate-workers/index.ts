// The gates of a broker as one: one gate in the engine's process, or gate workers. Shares the TLS ticket keys among them, and
// reloads them when trust anchors or the server certificate change.
import type { Registry } from '../../db/open.ts'
import { type Gate, type GateOptions, openGate } from '../gate/index.ts'
import { createTicketKeys } from '../gate/tls/ticket-keys.ts'
import { watchTlsFiles } from '../gate/tls/tls-files-watch.ts'
import { createReadTrust, serverFiles } from '../gate/tls/trust.ts'
import { type GatePoolOptions, openGatePool } from './pool.ts'

type Gates = {
  /** Begins to accept; gives the port. Rejects where the port is taken or a file is missing. */
  open(): Promise<number>
  /** Server certificate, key and trust anchors are read anew. Live connections keep what they have. */
  reload(): void
  /** The registry changed: connections that wait for CONNECT are checked again. */
  changed: Gate['changed']
  /** Stops accepting; resolves when the last connection is gone. */
  stop(): Promise<void>
}

export type GatesOptions = Omit<GatePoolOptions, 'gates' | 'ticketKeys' | 'registry'> &
  Pick<GateOptions, 'admit' | 'selfRegistration'> & { registry: Registry }

export function createGates(options: GatesOptions): Gates {
  const { settings, data } = options
  const ticketKeys = createTicketKeys(settings.ticketLifetimeMs)
  let tlsFiles: { stop(): void } | null = null
  let gate: Gate | null = null
  let changedMeanwhile = false

  /** TLS sessions verified under other trust anchors are not resumed: the ticket keys change with the anchors. */
  function reload(): void {
    if (gate === null) changedMeanwhile = true
    else gate.reload(ticketKeys.renew())
  }

  return {
    async open() {
      tlsFiles = watchTlsFiles(serverFiles(data), reload)
      const opened =
        settings.gates > 0
          ? await openGatePool({ ...options, gates: settings.gates, ticketKeys: ticketKeys.now })
          : await openGate({
              ...options,
              shared: false,
              readTrust: createReadTrust(options.registry, data, settings),
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
