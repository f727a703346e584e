// A gate worker: listener, TLS and admission in a process of their own. The engine's process has everything else; the worker
// reaches it through the socket pair it was spawned with, and exits when that pair closes.
import { connect, type NetConnectOpts, Socket } from 'node:net'
import { watchProcess } from '../../admin/process-figures.ts'
import { onBun } from '../../admin/runtime.ts'
import { prepareAdmissionLookup } from '../../db/admission-lookup.ts'
import { prepareArrivalLookup } from '../../db/issuers/arrivals.ts'
import { openForReading } from '../../db/open.ts'
import type { RegistryError } from '../../db/registry-error.ts'
import { createAdmit } from '../admission/admit.ts'
import { type Gate, openGate } from '../gate/index.ts'
import { createReadTrust } from '../gate/tls/trust.ts'
import { isolated } from '../registry/isolation.ts'
import type { BrokerSettings } from '../settings/validation.ts'
import { type Frame, kinds, UNREAD } from './frames.ts'
import { createRemoteEngine } from './remote-engine.ts'
import { askReplicaAge, type ReplicaAge } from './replica-age.ts'
import { createSocketPair } from './socket-pair.ts'

/** The first frame from the engine's process. `ticketKeys` is base64. */
export type GateWorkerStart = {
  data: string
  registryFile: string
  /** Whether that is a replica, which the engine's process keeps in step with PostgreSQL. */
  isReplica: boolean
  host: string
  port: number
  settings: BrokerSettings
  ticketKeys: string
}

/** The descriptor of the pair in a gate's process. */
const PAIR_DESCRIPTOR = 3
const FIGURES_MS = 5_000

/** How often a gate asks how old the replica is: it takes it for so much older at most. */
const ASK_AGE_MS = 1_000

let gate: Gate | null = null
let replicaAge: ReplicaAge | null = null
const pair = createSocketPair(openPair(), receive, () => process.exit(), setImmediate)
const engine = createRemoteEngine(pair)
// Ctrl-C in a terminal reaches every process; the engine's process decides when gates stop.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})

function receive(frame: Frame): void {
  if (engine.receive(frame)) return
  const { kind, payload } = frame
  if (kind === kinds.begin) void begin(JSON.parse(payload.toString()))
  if (kind === kinds.reload) gate?.reload(Buffer.from(payload))
  if (kind === kinds.ticketKeys) gate?.useTicketKeys(Buffer.from(payload))
  if (kind === kinds.changed) gate?.changed(JSON.parse(payload.toString()))
  if (kind === kinds.age) replicaAge?.answered(payload.readDoubleBE())
  if (kind === kinds.stop) void gate?.stop().then(() => process.exit())
}

async function begin(start: GateWorkerStart): Promise<void> {
  const { data, host, port, settings, ticketKeys } = start
  try {
    const registry = openForReading(start.registryFile)
    const doubt = start.isReplica ? await followReplica(settings) : () => null
    const lookup = prepareAdmissionLookup(registry.sqlite)
    const admit = createAdmit({
      lookup(fingerprint) {
        const error = doubt()
        if (error !== null) throw error
        return lookup(fingerprint)
      },
      now: Date.now,
      pq: settings.pq,
      onDoubt: engine.observer.registryInDoubt,
    })
    gate = await openGate({
      host,
      port,
      shared: true,
      settings,
      limits: engine.limits,
      readTrust: createReadTrust(registry, data, settings),
      ticketKeys: Buffer.from(ticketKeys, 'base64'),
      // The engine's process checks admission again, because it watches the registry. In open mode it has the cache: a
      // certificate that cannot be read here is left to it. How long a replica may go without hearing is a promise in either mode.
      admit(peer) {
        const admission = admit(peer)
        if (admission.admitted || admission.reason !== 'registry_unavailable') return admission
        return settings.registryLossMode === 'open' && doubt() === null
          ? { admitted: true, record: { deviceId: UNREAD } }
          : admission
      },
      selfRegistration: {
        lookup: prepareArrivalLookup(registry.sqlite),
        note: engine.noteArrival,
        now: Date.now,
      },
      handleConnection: engine.handleConnection,
      observer: engine.observer,
    })
    pair.send(kinds.ready, 0)
    tellFigures()
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    pair.sendJson(kinds.failed, 0, { code, message })
  }
}

/** Resolves once it is known how old the replica is. Gives why nobody is admitted by it now; null where it is young enough. */
async function followReplica({ isolationAdmitMs }: BrokerSettings): Promise<() => RegistryError | null> {
  const everyMs = Math.min(ASK_AGE_MS, isolationAdmitMs / 10)
  replicaAge = askReplicaAge({ ask: () => pair.send(kinds.askAge, 0), everyMs })
  await replicaAge.known
  const { ageMs } = replicaAge
  return () => isolated(ageMs(), isolationAdmitMs)
}

/** The figures of this process, for the metrics of the engine's process. */
function tellFigures(): void {
  const own = watchProcess()
  const tell = () => engine.observer.figures(own.figures())
  setInterval(tell, FIGURES_MS)
  tell()
}

/** Each runtime opens an inherited descriptor in one of the two ways that Node's documentation names. */
function openPair(): Socket {
  return onBun
    ? connect({ fd: PAIR_DESCRIPTOR } as unknown as NetConnectOpts)
    : new Socket({ fd: PAIR_DESCRIPTOR })
}
