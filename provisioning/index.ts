// The provisioning service put together: lock, registry, first start, CA, server. `main.ts` runs it, tests make it.
import { createPublicKey } from 'node:crypto'
import { existsSync } from 'node:fs'
import { prepareAdmissionLookup } from '../db/admission-lookup.ts'
import { createArrivalReader, prepareArrivalLookup } from '../db/arrivals.ts'
import { keyIdOf } from '../db/audit-checkpoint.ts'
import { createAuditReader } from '../db/audit-reader.ts'
import { awaitReceipt } from '../db/change-feed.ts'
import { prepareExpiringCount } from '../db/deadlines.ts'
import { createEnrollmentReader } from '../db/enrollment-reader.ts'
import { prepareGrantLookup } from '../db/grants.ts'
import { closeRegistry, createRegistryWriter, openForWriting } from '../db/index.ts'
import { prepareIssuers } from '../db/issuer-store.ts'
import { prepareNearestDevice } from '../db/nearest-device.ts'
import { assertIntegrity, assertSameFile, openForReading } from '../db/open.ts'
import { createPolicyReader } from '../db/policy-reader.ts'
import { takeLock } from '../db/process-lock.ts'
import { createRollReader, type RollReader } from '../db/roll-reader.ts'
import { readTrustAnchor } from '../db/trust-anchors.ts'
import { toPem } from '../pki/pem.ts'
import { keepAuditKey } from './audit-key.ts'
import { createAuditSealer } from './audit-sealer.ts'
import { type Environment, type ProvisioningOptions, readConfig } from './config.ts'
import { createCsrPool } from './csr-pool.ts'
import {
  createDataDirectory,
  type DataDirectory,
  dataDirectory,
  sweepTemporaryFiles,
  tightenModes,
} from './data-directory.ts'
import { createEnrollmentDesk } from './enrollment-desk.ts'
import { createEvents } from './events.ts'
import { createExplainer } from './explain.ts'
import { firstStart } from './first-start.ts'
import { chainOf } from './issuer-chain.ts'
import { createLastUse } from './last-use.ts'
import { createMetrics } from './metrics.ts'
import { createPolicyDesk } from './policy-desk.ts'
import { createReach } from './reach.ts'
import { startRegistrar } from './registrar.ts'
import { createRegistrationAuthority } from './registration-authority.ts'
import { pointersTo, startRevocation, statusUrlOf } from './revocation/index.ts'
import { openStatusServer } from './revocation/status-server.ts'
import type { Services } from './routes/context.ts'
import { createServer } from './server.ts'
import { createServerCertificate, serverNames } from './server-certificate.ts'
import { startSweep } from './sweep.ts'

export type RunningProvisioning = {
  /** Such as https://127.0.0.1:8443. */
  url: string
  /** Where CRL and OCSP are, as certificates name it. */
  statusUrl: string
  /** Makes the CRLs that are due; runs by itself every second. */
  makeCrls(): Promise<void>
  /** Renews the OCSP responders that are due; runs by itself every minute. */
  keepResponders(): Promise<void>
  /** Whether requests can be served: the registry answers and the CA has not expired. */
  ready(): boolean
  /** Counters in the Prometheus text format. */
  metrics(): Promise<string>
  /** Looks whether the server certificate is due and renews it; runs by itself every hour. */
  renewServerCertificate(): Promise<void>
  /** Takes the steps that are due in the life of certificates; runs by itself every second. */
  sweep(): Promise<void>
  /** Finishes what runs, then closes. */
  close(): Promise<void>
}

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const RENEWAL_CHECK_MS = HOUR_MS
const REGISTRAR_LOOKS_EVERY_MS = 250

/** Starts the service. Throws an error that says what is wrong and what to do; nothing stays open then. */
export async function createProvisioning(
  options: ProvisioningOptions,
  environment: Environment = {},
): Promise<RunningProvisioning> {
  const config = readConfig(options, environment)
  const { now } = config
  const directory = dataDirectory(config.data)
  const open = new AsyncDisposableStack()
  try {
    createDataDirectory(directory)
    const lock = await takeLock(directory.lock)
    if (lock === null) {
      throw new Error(
        `another provisioning service runs on ${directory.path}: stop it, or name another directory with --data`,
      )
    }
    open.defer(() => lock.release())
    sweepTemporaryFiles(directory)
    tightenModes(directory)
    assertNotLost(directory)

    const registry = openForWriting(directory.registry)
    open.defer(() => closeRegistry(registry))
    assertIntegrity(registry)
    // A connection of its own, so that questions neither wait for a change nor see half of one.
    const reading = openForReading(directory.registry)
    open.defer(() => closeRegistry(reading))

    const metrics = createMetrics()
    const events = createEvents(config.log, metrics)
    const { host } = config
    const status = await openStatusServer({ host, port: config.statusPort }, events.statusFailed)
    open.defer(() => status.close())
    const statusUrl = config.statusUrl ?? statusUrlOf({ host, sans: config.sans, port: status.port })

    const writer = createRegistryWriter(registry, now)
    const issuers = prepareIssuers(reading)
    const abandoned = await writer.abandonIssuances({ name: 'provisioning' })
    if (abandoned > 0) events.issuancesAbandoned(abandoned)
    const founded = await firstStart({
      directory,
      writer,
      issuers: issuers(),
      keyTypes: config.keyTypes,
      pointers: issuerId => pointersTo(statusUrl, issuerId),
      now,
    })
    const ca = () => founded.ca
    const sans = serverNames(config.host, config.sans)
    const serverCertificate = createServerCertificate({ directory, ca, writer, sans, now })
    const identity = await serverCertificate.keep()
    if (identity.renewed) founded.made.push('server certificate')
    const auditKey = keepAuditKey(directory)
    if (auditKey.made) founded.made.push('audit key')

    const roll = createRollReader(reading)
    const auditReader = createAuditReader(reading)
    const sealer = createAuditSealer({
      registry,
      reader: auditReader,
      key: auditKey.key,
      keys: new Map([[keyIdOf(auditKey.key), createPublicKey(auditKey.key)]]),
      pace: config.sealing,
      events,
      now,
    })
    open.defer(() => sealer.close())
    const answers = reading.sqlite.prepare('SELECT 1')
    const ready = () => {
      try {
        assertSameFile(registry)
        return answers.get() !== undefined && ca().notAfter > now()
      } catch {
        return false
      }
    }
    const csrs = createCsrPool()
    open.defer(() => csrs.close())
    const policies = createPolicyReader(reading)
    const lookup = prepareAdmissionLookup(reading.sqlite)
    const lastUse = createLastUse({
      write: ({ id }, at, address) => writer.noteTokenUse(id, at, address),
      failed: events.lastUseNotNoted,
      now,
    })
    open.defer(() => lastUse.close())
    const arrivals = createArrivalReader(reading)
    const isDevice = async (id: string) => (await roll.device(id)) !== null
    const authority = createRegistrationAuthority({
      ca,
      writer,
      readCsr: csrs.read,
      issuers,
      unusedOf: (deviceId, spkiHash) => unusedOf(roll, ca().id, deviceId, spkiHash),
      keyOf: async fingerprint => (await roll.certificate(fingerprint))?.spkiHash ?? null,
      isDevice,
      now,
    })
    const { deviceDays } = config
    const services: Services = {
      writer,
      roll,
      policies,
      policyDesk: createPolicyDesk(policies),
      authority,
      enrollments: createEnrollmentReader(reading),
      enrollmentDesk: createEnrollmentDesk({ authority, writer, roll, deviceDays, now }),
      explainer: createExplainer({
        roll,
        lookup,
        nearest: prepareNearestDevice(reading.sqlite),
        arrivalOf: prepareArrivalLookup(reading.sqlite),
        issuers,
        now,
      }),
      lookup,
      reach: createReach({ roll, grants: prepareGrantLookup(reading.sqlite) }),
      lastUse,
      now,
      issuers,
      anchors: { show: id => readTrustAnchor(reading, id), arrivals: arrivals.ofIssuer },
      chainOf: id => chainOf(id, ca(), issuers),
      receipt: epoch => awaitReceipt(reading, epoch, config.receiptTimeoutMs),
      audit: { reader: auditReader, sealer },
      ready,
      events,
      deviceDays,
      rootPem: toPem(ca().root.raw, 'CERTIFICATE'),
    }
    const revocation = await startRevocation({
      server: status,
      cas: () => [ca()],
      registry,
      reading,
      directory,
      writer,
      crlLifetimeMs: config.crlHours * HOUR_MS,
      ocspLifetimeMs: config.ocspMinutes * MINUTE_MS,
      now,
      events,
    })
    open.defer(() => revocation.stop())
    const server = await createServer({ services, identity, ...config })
    open.defer(() => server.close())
    const port = await server.listen(config.host, config.apiPort)

    async function renewServerCertificate(): Promise<void> {
      try {
        const kept = await serverCertificate.keep()
        if (!kept.renewed) return
        server.show(kept)
        events.serverCertificateRenewed()
      } catch (error) {
        events.serverCertificateFailed(error)
      }
    }
    const sweep = startSweep({
      passDeadlines: writer.passDeadlines,
      countExpiring: prepareExpiringCount(reading.sqlite),
      now,
      everyMs: config.sweepMs,
      onPassed: events.deadlinePassed,
      onCounted: events.expiringCounted,
      onFailed: events.sweepFailed,
    })
    open.defer(() => sweep.stop())
    const registrar = startRegistrar({
      waiting: arrivals.waiting,
      anchor: id => readTrustAnchor(reading, id),
      issuers,
      isDevice,
      writer,
      events,
      now,
      everyMs: REGISTRAR_LOOKS_EVERY_MS,
    })
    open.defer(() => registrar.stop())
    const timer = setInterval(renewServerCertificate, RENEWAL_CHECK_MS)
    timer.unref()
    open.defer(() => clearInterval(timer))

    const url = `https://${hostInUrl(config.host)}:${port}`
    events.started({ url, data: directory.path, made: founded.made })
    const running = open.move()
    return {
      url,
      ready,
      metrics: metrics.text,
      statusUrl,
      makeCrls: revocation.crls.look,
      keepResponders: revocation.keepResponders,
      renewServerCertificate,
      sweep: sweep.look,
      async close() {
        if (running.disposed) return
        await running.disposeAsync()
        events.stopped()
      },
    }
  } catch (error) {
    await open.disposeAsync()
    throw error
  }
}

/** A CA without its registry: beginning anew would silently forget every revocation. */
function assertNotLost({ registry, rootCertificate, path }: DataDirectory): void {
  if (!existsSync(rootCertificate) || existsSync(registry)) return
  throw new Error(
    `${registry} is missing although ${path} holds a CA: restore it from a backup, or name an empty directory with --data`,
  )
}

/** A certificate of this CA for this key that the device has not used yet. */
async function unusedOf(
  roll: RollReader,
  issuerId: string,
  deviceId: string,
  spkiHash: string,
): Promise<string | null> {
  const { items } = await roll.certificates({ deviceId, status: 'issued' }, null, 10)
  const same = items.find(item => item.spkiHash === spkiHash && item.issuerId === issuerId)
  return same?.fingerprint ?? null
}

function hostInUrl(host: string): string {
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host
  return reachable.includes(':') ? `[${reachable}]` : reachable
}
