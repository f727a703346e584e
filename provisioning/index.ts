// The provisioning service put together: storage, CA, what runs beside requests, server. `main.ts` runs it, tests make it.

import { hostname } from 'node:os'
import { join } from 'node:path'
import { prepareReliantReader } from '../db/issuers/rotation-store.ts'
import { prepareRegistryFigures } from '../db/registry-figures.ts'
import { createRetainedReader } from '../db/retained/retained-reader.ts'
import type { ServiceSettings } from '../db/service-records.ts'
import { startAnchorService } from './anchors/anchor-service.ts'
import { openAudit } from './audit/index.ts'
import { startCaRefresh, startHourlyChecks, startLifecycle } from './background.ts'
import { createCaKeys } from './ca/ca-keys.ts'
import { canIssue, startCertification } from './certification.ts'
import {
  type Environment,
  hostInUrl,
  ownSettings,
  type ProvisioningConfig,
  type ProvisioningOptions,
  readConfig,
} from './config.ts'
import { createRenewalWindow } from './enrollment/renewal-window.ts'
import { createSharedSecrets, keepSharedSecretKey } from './enrollment/shared-secrets.ts'
import { startEventService } from './events/index.ts'
import { createLog } from './logging/log.ts'
import { createMetrics } from './metrics.ts'
import { createLastUse } from './operators/last-use.ts'
import { createHistoryService } from './overview/history.ts'
import { createOverviewService } from './overview/overview.ts'
import { createFleetTrials } from './policies/fleet-trials.ts'
import { createReceipt } from './receipt.ts'
import { startRevocation, statusUrlOf } from './revocation/index.ts'
import { openStatusServer } from './revocation/status-server.ts'
import { createScrape } from './scrape.ts'
import { createServer } from './server/index.ts'
import { createServices } from './services.ts'
import { reconcileAtStartup } from './startup-reconciliation.ts'
import { openStorage, takeDataDirectory } from './storage.ts'
import { createBrokerLink } from './tryouts/broker-link.ts'
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

/** Starts the service. Throws an error that says what is wrong and what to do; nothing stays open then. */
export async function createProvisioning(
  options: ProvisioningOptions,
  environment: Environment = {},
): Promise<RunningProvisioning> {
  const config = readConfig(options, environment)
  await using open = new AsyncDisposableStack()
  const { stopped, ...running } = await start(config, ownSettings(config, environment), open)
  const parts = open.move()
  return {
    ...running,
    async close() {
      if (parts.disposed) return
      await parts.disposeAsync()
      stopped()
    },
  }
}

/** Everything that starts here ends with `open`. */
async function start(config: ProvisioningConfig, own: ServiceSettings, open: AsyncDisposableStack) {
  const { host, now } = config
  const metrics = createMetrics()
  const log = createLog(config.log, metrics)
  const directory = await takeDataDirectory(config.data, open, log, config.registry !== null)
  const keys = createCaKeys(config.caPassphraseFile, directory.path, config.token)
  const storage = await openStorage(directory, open, { ...config, log, now })
  const { registry, reading, writer, issuers, leads, shared } = storage

  const statusServer = await openStatusServer({ host, port: config.statusPort }, log.statusFailed)
  open.defer(() => statusServer.close())
  const statusUrl = config.statusUrl ?? statusUrlOf({ host, sans: config.sans, port: statusServer.port })
  const checkpointFile = config.auditCheckpointFile
  const audit = openAudit({ directory, checkpointFile, registry, reading, leads, log, now })
  await reconcileAtStartup({ ...config, shared: shared !== null, writer, log, registry })

  const receipt = createReceipt(reading, config.receiptTimeoutMs, shared, now)
  const certify = () => startCertification({ config, directory, storage, keys, statusUrl, receipt, log })
  const certification = await (shared === null ? certify() : shared.alone(certify))
  const { manager, serverIdentity, made } = certification
  if (audit.keyMade) made.push('audit key')
  const ready = () => storage.isUsable() && canIssue(manager, issuers, now)

  const events = await startEventService({ directory: directory.path, reading, shared, log, now })
  open.defer(() => events.close())
  const webhooks = openWebhooks({
    ...{ ...events, reading, writer, config, leads, shared: shared !== null, log, now },
  })
  open.defer(() => webhooks.service.close())
  const sealer = audit.startSealing(config.sealing, (reason, row, message) =>
    events.eventLog.append({ at: now(), kind: 'audit_tampered', reason, detail: { row, message } }),
  )
  open.defer(() => sealer.close())
  const csrs = createCsrPool()
  open.defer(() => csrs.close())
  const fleetTrials = createFleetTrials(directory.registry)
  open.defer(() => fleetTrials.close())
  const lastUse = createLastUse({ store: writer, failed: log.lastUseNotNoted, now })
  open.defer(() => lastUse.close())
  const anchors = startAnchorService({ ...config, reading, writer, issuers, leads, log })
  open.defer(() => anchors.stop())
  const revocation = await startRevocation({
    ...{ registry, reading, directory, writer, leads, now, log },
    files: shared?.files ?? null,
    server: statusServer,
    cas: manager.all,
    crlLifetimeMs: config.crlHours * HOUR_MS,
    ocspLifetimeMs: config.ocspMinutes * MINUTE_MS,
  })
  open.defer(() => revocation.stop())
  const renewServerCertificate = serverIdentity.renew
  const checkCa = startHourlyChecks(open, { ca: manager.current, renewServerCertificate, log, now })

  async function followUp(): Promise<void> {
    await Promise.all([revocation.crls.look(), revocation.keepResponders(), renewServerCertificate()])
    checkCa()
  }
  if (shared !== null) startCaRefresh(open, { manager, followUp, log })

  const reliant = prepareReliantReader(reading.sqlite)
  const overview = createOverviewService({ ...reading, ...reliant, server: serverIdentity.validity, now })
  const retained = createRetainedReader({
    ...{ file: join(directory.path, 'retained.db'), registry: directory.registry },
    onFailed: log.retainedIndexFailed,
  })
  open.defer(() => retained.close())
  const services = createServices({
    ...{
      anchors,
      config,
      receipt,
      writer,
      reading,
      issuers,
      sharing: shared === null ? null : { machine: hostname(), leads, goneMs: config.importGoneMs },
      lastUse,
      fleetTrials,
      overview,
      history: createHistoryService(events.history, now),
      state: { data: directory.path, own, figures: prepareRegistryFigures(reading) },
      events,
      webhooks,
      retained,
      brokerLink: createBrokerLink(join(directory.path, 'broker.sock')),
      ready,
      log,
    },
    readCsr: csrs.read,
    secrets: createSharedSecrets(keepSharedSecretKey(directory)),
    audit: { reader: audit.reader, sealer },
    ca: {
      ...{ manager, reliant, statusUrl },
      opensAt: createRenewalWindow({
        rotations: manager.rotationsHere,
        isOurs: id => issuers().get(id)?.kind === 'issuing',
      }),
      crl: revocation.crls.crl,
      keysEncrypted: keys.sealed,
      followUp,
    },
  })
  open.defer(() => services.imports.close())

  const server = await createServer({ ...config, services, identity: serverIdentity.current() })
  open.defer(() => server.close())
  serverIdentity.onRenewed(server.show)
  const port = await server.listen(host, config.apiPort)
  const lifecycle = startLifecycle(open, { config, storage, events, overview, log })
  const scrape = createScrape(metrics, prepareRegistryFigures(reading))
  open.defer(() => scrape.stop())

  const url = `https://${hostInUrl(host)}:${port}`
  if (!keys.sealed) log.keysInTheClear()
  log.started({ url, data: directory.path, made })
  return {
    ...{ url, statusUrl, ready, renewServerCertificate },
    metrics: scrape.text,
    makeCrls: revocation.crls.look,
    keepResponders: revocation.keepResponders,
    lifecycleJob: lifecycle.look,
    stopped: log.stopped,
  }
}
