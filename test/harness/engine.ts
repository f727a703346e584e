// The engine without a gate: streams in memory, a real roll, an admission that a test can interrupt.
import { type Duplex, duplexPair } from 'node:stream'
import { type Admit, createAdmit } from '../../broker/admission/admit.ts'
import { createSessions } from '../../broker/mqtt/connection/sessions.ts'
import { createEngine, type Engine, type EngineEvents } from '../../broker/mqtt/index.ts'
import { createRightsResolver } from '../../broker/mqtt/rights-resolver.ts'
import { createRegistryHealth } from '../../broker/registry/registry-health.ts'
import { createRegistryView } from '../../broker/registry/registry-view.ts'
import { createIsGone } from '../../broker/revocation/retention.ts'
import { type RevocationWatch, watchRevocations } from '../../broker/revocation/revocation-watch.ts'
import { type BrokerSettings, validateSettings } from '../../broker/settings/validation.ts'
import {
  type AdmissionRecord,
  prepareAdmissionLookup,
  prepareDeviceLookup,
} from '../../db/admission-lookup.ts'
import { prepareChangeReader } from '../../db/change-feed.ts'
import { closeRegistry } from '../../db/index.ts'
import { openForReading } from '../../db/open.ts'
import { preparePolicyLookup } from '../../db/policies/policy-lookup.ts'
import { openSessionFile } from '../../db/sessions/session-file.ts'
import type { Roll } from './roll.ts'

export type Event = [what: string, ...details: unknown[]]

export type TestEngine = {
  engine: Engine
  watch: RevocationWatch
  events: Event[]
  /** Runs once, inside the next question the engine asks, after the record was read and before the answer is given. */
  whileAsking(work: () => void): void
  /** What a gate reads of a certificate; null for a stranger. */
  read(fingerprint: string): AdmissionRecord | null
  /** How often a record was read for an admission. */
  lookups(): number
  /** Hands a stream over as the gate does after admitting this device, with what it read if given; gives the device's end. */
  enter(deviceId: string, fingerprint: string, record?: AdmissionRecord | null): Duplex
  close(): Promise<void>
}

export async function startTestEngine(roll: Roll, given: Partial<BrokerSettings> = {}): Promise<TestEngine> {
  const settings = validateSettings({ registryPollMs: 5, ...given })
  const registry = openForReading(`${roll.data}/registry.db`)
  const feed = prepareChangeReader(registry)
  const epoch = feed.latestEpoch()
  const events: Event[] = []
  const told =
    (what: string) =>
    (...details: unknown[]) =>
      void events.push([what, ...details])
  const doubt = (error: unknown) => void events.push(['doubt', error])
  const lookup = prepareAdmissionLookup(registry.sqlite)
  const view = createRegistryView({
    lookup(fingerprint) {
      lookups += 1
      return lookup(fingerprint)
    },
    lastChange: feed.lastChange,
    policiesOf: preparePolicyLookup(registry),
    doubt: () => null,
    memory: null,
    onOpen() {},
  })
  const real = createAdmit({ lookup: view.lookup, now: Date.now, pq: 'accept', onDoubt: doubt })
  let lookups = 0
  let interruption: (() => void) | null = null
  const admit: Admit = (peer, read) => {
    const answer = real(peer, read)
    const work = interruption
    interruption = null
    work?.()
    return answer
  }
  const engine = await createEngine({
    settings,
    sessions: createSessions(),
    admit,
    rightsOf: createRightsResolver({ policiesOf: view.policiesOf, onDoubt: doubt }),
    events: {
      refused: told('refused'),
      connectionAccepted() {},
      connectionEnded() {},
      storedSessionChanged() {},
      retainedChanged() {},
      rightDenied() {},
      admitted: told('admitted'),
      connected: told('connected'),
      disconnected: told('disconnected'),
      cut: told('cut'),
      denied: told('denied'),
      dropped: told('dropped'),
      slowed: told('slowed'),
      clientFailed: told('clientFailed'),
      sessionExpired: told('sessionExpired'),
      engineFailed: told('engineFailed'),
      firstUse: told('firstUse'),
      subscriptionsChanged() {},
      takenOver: () => {},
      sessionsUnkept: told('sessionsUnkept'),
      sessionsKept() {},
      routed() {},
      publishAcknowledged() {},
    } satisfies EngineEvents,
    sessionFile: openSessionFile(null),
    isGone: () => false,
    now: Date.now,
  })
  const watch = watchRevocations({
    feed,
    epoch,
    pollMs: settings.registryPollMs,
    health: createRegistryHealth(settings.registryLossMs, doubt),
    maxSessionAgeMs: settings.maxSessionAgeMs,
    admit: real,
    engine,
    isGone: createIsGone(prepareDeviceLookup(registry.sqlite)),
    assertSameRegistry() {},
    memory: null,
    now: Date.now,
    onIssuersChanged() {},
    onChange() {},
    onAcknowledged: told('acknowledged'),
    onDoubt: doubt,
  })
  return {
    engine,
    watch,
    events,
    whileAsking(work) {
      interruption = work
    },
    read: lookup,
    lookups: () => lookups,
    enter(deviceId, fingerprint, record = null) {
      const [device, stream] = duplexPair()
      device.on('error', () => {})
      engine.handleConnection({
        stream,
        identity: { fingerprint, deviceId, chain: 'verified' },
        record,
        address: '192.0.2.1',
      })
      return device
    },
    async close() {
      watch.stop()
      await engine.close()
      await closeRegistry(registry)
    },
  }
}
