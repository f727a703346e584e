// The provisioning service put together: lock, registry, first start, CA, server. `main.ts` runs it, tests make it.
import { assertNotOpen } from '../db/directory-access.ts'
import { closeRegistry, createRegistryWriter, openForWriting } from '../db/index.ts'
import { beginIntegrityCheck } from '../db/integrity-check.ts'
import { prepareIssuers } from '../db/issuers/issuer-store.ts'
import { prepareReliantReader, readRotations } from '../db/issuers/rotation-store.ts'
import { assertSameFile, openForReading } from '../db/open.ts'
import { takeLock } from '../db/process-lock.ts'
import { prepareRegistryFigures } from '../db/registry-figures.ts'
import { prepareExpiringCount } from '../db/roll/deadlines.ts'
import { prepareRollCount } from '../db/roll/roll-count.ts'
import { startAnchorService } from './anchors/anchor-service.ts'
import { openAudit } from './audit/index.ts'
import { bootstrap } from './bootstrap.ts'
import { createCaKeys } from './ca/ca-keys.ts'
import { createCaManager } from './ca/ca-manager.ts'
import { certificateValidity, createServerCertificate, serverNames } from './ca/server-certificate.ts'
import { type Environment, hostInUrl, type ProvisioningOptions, readConfig } from './config.ts'
import {
  assertNotLost,
  createDataDirectory,
  dataDirectory,
  removeTemporaryFiles,
  tightenModes,
} from './data-directory.ts'
import { createRenewalWindow } from './enrollment/renewal-window.ts'
import { startEventService } from './events/index.ts'
import { startLifecycleJob } from './lifecycle-job.ts'
import { createLog } from './logging/log.ts'
import { createMetrics } from './metrics.ts'
import { createLastUse } from './operators/last-use.ts'
import { createOverviewService } from './overview/overview.ts'
import { createReceipt } from './receipt.ts'
import { pointersTo, startRevocation, statusUrlOf } from './revocation/index.ts'
import { openStatusServer } from './revocation/status-server.ts'
import { createScrape } from './scrape.ts'
import { createServer } from './server/index.ts'
import { createServices } from './services.ts'
import { reconcileAtStartup } from './startup-reconciliation.ts'
import { openWebhooks } from './webhooks/index.ts'
import { createCsrPool } from './x509/csr-pool.ts'

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
  lifecycleJob(): Promise<void>
  /** Finishes what runs, then closes. */
  close(): Promise<void>
}

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const RENEWAL_CHECK_MS = HOUR_MS
/** Twice the longest life of a device certificate (825 days): time to hand over without haste. */
const CA_WARNING_MS = 2 * 825 * 24 * HOUR_MS

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
    const access = assertNotOpen(directory.path)
    const lock = await takeLock(directory.lock)
    if (lock === null) {
      throw new Error(
        `another provisioning service runs on ${directory.path}: stop it, or name another directory with --data`,
      )
    }
    open.defer(() => lock.release())
    removeTemporaryFiles(directory)
    tightenModes(directory)
    assertNotLost(directory)
    const caKeys = createCaKeys(config.caPassphraseFile, directory.path, config.token)

    const registry = openForWriting(directory.registry)
    open.defer(() => closeRegistry(registry))
    // A connection of its own, so that questions neither wait for a change nor see half of one.
    const reading = openForReading(directory.registry)
    open.defer(() => closeRegistry(reading))

    const metrics = createMetrics()
    const log = createLog(config.log, metrics)
    if (access === 'shared') log.directoryShared(directory.path)
    const integrity = beginIntegrityCheck(registry, log.registryDamaged)
    open.defer(() => integrity.stop())
    const { host } = config
    const status = await openStatusServer({ host, port: config.statusPort }, log.statusFailed)
    open.defer(() => status.close())
    const statusUrl = config.statusUrl ?? statusUrlOf({ host, sans: config.sans, port: status.port })

    const checkpointFile = config.auditCheckpointFile
    const audit = openAudit({ directory, checkpointFile, registry, reading, log, now })
    const writer = createRegistryWriter(registry, now)
    const issuers = prepareIssuers(reading)
    await reconcileAtStartup({ ...config, registry, writer, log })
    const founded = await bootstrap({
      directory,
      writer,
      issuers: issuers(),
      rotations: readRotations(reading),
      keys: caKeys,
      keyTypes: config.keyTypes,
      now,
    })
    const receipt = createReceipt(reading, config.receiptTimeoutMs)
    const manager = createCaManager({
      directory,
      keys: caKeys,
      keyType: config.keyTypes.issuing,
      root: founded.root,
      current: founded.issuing,
      issuers,
      rotations: readRotations(reading),
      writer,
      pointers: issuerId => pointersTo(statusUrl, issuerId),
      acknowledged: receipt,
      onKeyMissing: log.caKeyMissing,
      now,
    })
    const ca = manager.current
    const sans = serverNames(config.host, config.sans)
    const serverCertificate = createServerCertificate({
      ...{ directory, ca, writer, sans, now },
      onNotRenewed: log.serverCertificateFailed,
    })
    const identity = await serverCertificate.keep()
    if (identity.renewed) founded.made.push('server certificate')
    const events = startEventService({ directory: directory.path, reading, log, now })
    open.defer(() => events.close())
    const webhooks = openWebhooks({ ...events, reading, writer, config, log, now })
    open.defer(() => webhooks.service.close())
    let serverCertificateValidity = certificateValidity(identity.cert)
    log.serverCertificateShown(serverCertificateValidity.notAfter)
    if (audit.keyMade) founded.made.push('audit key')
    const sealer = audit.startSealing(config.sealing, (reason, row, message) =>
      events.eventLog.append({ at: now(), kind: 'audit_tampered', reason, detail: { row, message } }),
    )
    open.defer(() => sealer.close())
    const answers = reading.sqlite.prepare('SELECT 1')
    const ready = () => {
      try {
        assertSameFile(registry)
        return answers.get() !== undefined && ca().notAfter > now() && integrity.damage() === null
      } catch {
        return false
      }
    }
    const csrs = createCsrPool()
    open.defer(() => csrs.close())
    const lastUse = createLastUse({ store: writer, failed: log.lastUseNotNoted, now })
    open.defer(() => lastUse.close())
    const anchors = startAnchorService({ ...config, reading, writer, issuers, log })
    open.defer(() => anchors.stop())
    const revocation = await startRevocation({
      server: status,
      cas: manager.all,
      registry,
      reading,
      directory,
      writer,
      crlLifetimeMs: config.crlHours * HOUR_MS,
      ocspLifetimeMs: config.ocspMinutes * MINUTE_MS,
      now,
      log,
    })
    open.defer(() => revocation.stop())
    const reliant = prepareReliantReader(reading.sqlite)
    const overview = createOverviewService({
      ...reading,
      ...reliant,
      server: () => serverCertificateValidity,
      now,
    })
    const services = createServices({
      anchors,
      config,
      ca: {
        manager,
        reliant,
        opensAt: createRenewalWindow({
          rotations: manager.rotations,
          isOurs: id => issuers().get(id)?.kind === 'issuing',
        }),
        crl: revocation.crls.crl,
        statusUrl,
        keysEncrypted: caKeys.sealed,
        async followUp() {
          await Promise.all([revocation.crls.look(), revocation.keepResponders(), renewServerCertificate()])
          lookAtCa()
        },
      },
      receipt,
      readCsr: csrs.read,
      writer,
      reading,
      issuers,
      lastUse,
      overview,
      events,
      webhooks,
      audit: { reader: audit.reader, sealer },
      ready,
      log,
    })
    open.defer(() => services.imports.close())
    const server = await createServer({ services, identity, ...config })
    open.defer(() => server.close())
    const port = await server.listen(config.host, config.apiPort)

    async function renewServerCertificate(): Promise<void> {
      try {
        const kept = await serverCertificate.keep()
        if (!kept.renewed) return
        server.show(kept)
        serverCertificateValidity = certificateValidity(kept.cert)
        log.serverCertificateShown(serverCertificateValidity.notAfter)
        log.serverCertificateRenewed()
      } catch (error) {
        log.serverCertificateFailed(error)
      }
    }
    const lifecycleJob = startLifecycleJob({
      passDeadlines: writer.passDeadlines,
      countExpiring: prepareExpiringCount(reading.sqlite),
      countRoll: prepareRollCount(reading.sqlite),
      now,
      everyMs: config.lifecycleJobMs,
      onPassed(passed) {
        log.deadlinePassed(passed)
        events.deadlinePassed(passed)
      },
      onCounted(within, certificates) {
        log.expiringCounted(within, certificates)
        overview.expiring(within, certificates)
      },
      onStepFailed: log.deadlineFailed,
      onRollCounted: log.rollCounted,
      onFailed: log.lifecycleJobFailed,
    })
    open.defer(() => lifecycleJob.stop())
    function lookAtCa(): void {
      const { id, notAfter } = ca()
      log.caLooked(id, notAfter, notAfter - now() < CA_WARNING_MS)
    }
    lookAtCa()
    const timer = setInterval(() => {
      lookAtCa()
      void renewServerCertificate()
    }, RENEWAL_CHECK_MS)
    timer.unref()
    open.defer(() => clearInterval(timer))

    const scrape = createScrape(metrics, prepareRegistryFigures(reading))
    open.defer(() => scrape.stop())
    const url = `https://${hostInUrl(config.host)}:${port}`
    if (!caKeys.sealed) log.keysInTheClear()
    log.started({ url, data: directory.path, made: founded.made })
    const running = open.move()
    return {
      url,
      ready,
      metrics: scrape.text,
      statusUrl,
      makeCrls: revocation.crls.look,
      keepResponders: revocation.keepResponders,
      renewServerCertificate,
      lifecycleJob: lifecycleJob.look,
      async close() {
        if (running.disposed) return
        await running.disposeAsync()
        log.stopped()
      },
    }
  } catch (error) {
    await open.disposeAsync()
    throw error
  }
}
