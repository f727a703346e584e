// The counters of the provisioning service in the Prometheus text format. Labels never carry device, token or serial.
import { Counter, Gauge, Histogram, Registry } from '@prometheus-io/client'
import { createBuildInfo } from '../admin/build-info.ts'
import { createProcessMetrics } from '../admin/process-figures.ts'
import { deadlineKinds } from '../db/schema.ts'

export type ProvisioningMetrics = ReturnType<typeof createMetrics>

export function createMetrics() {
  const registry = new Registry()
  const registers = [registry]
  createBuildInfo(registry, 'provisioning')
  const metrics = {
    text: () => registry.metrics(),
    /** Shows the figures of this process. */
    showProcess: createProcessMetrics(registry),
    devices: new Gauge({
      name: 'rollcall_devices',
      help: 'Devices, by state.',
      labelNames: ['state'],
      registers,
    }),
    certificates: new Gauge({
      name: 'rollcall_device_certificates',
      help: 'Device certificates, by status.',
      labelNames: ['status'],
      registers,
    }),
    issuingSeconds: new Histogram({
      name: 'rollcall_issuing_seconds',
      help: 'From a CSR to the signed certificate, what is put on record before it is signed included.',
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
      registers,
    }),
    registryBytes: new Gauge({
      name: 'rollcall_registry_bytes',
      help: 'The registry file.',
      registers,
    }),
    registryLogBytes: new Gauge({
      name: 'rollcall_registry_log_bytes',
      help: 'The write-ahead log of the registry.',
      registers,
    }),
    freeBytes: new Gauge({
      name: 'rollcall_data_free_bytes',
      help: 'What may still be written where the data directory is.',
      registers,
    }),
    brokers: new Gauge({
      name: 'rollcall_brokers',
      help: 'Brokers that follow the change feed; one that stopped in order is none.',
      registers,
    }),
    feedLatest: new Gauge({
      name: 'rollcall_change_feed_latest_epoch',
      help: 'The last change on record.',
      registers,
    }),
    feedUnacknowledged: new Gauge({
      name: 'rollcall_change_feed_unacknowledged',
      help: 'Changes that the slowest broker has not acted on yet.',
      registers,
    }),
    jobs: new Gauge({
      name: 'rollcall_import_jobs',
      help: 'Import jobs that have not ended, by state.',
      labelNames: ['state'],
      registers,
    }),
    jobRows: new Gauge({
      name: 'rollcall_import_job_rows',
      help: 'Rows of import jobs that have not ended, by state: done, left.',
      labelNames: ['state'],
      registers,
    }),
    serverCertificateEnds: new Gauge({
      name: 'rollcall_server_certificate_not_after_seconds',
      help: 'When the server certificate ends, in seconds since the epoch.',
      registers,
    }),
    changes: new Counter({
      name: 'rollcall_registry_changes_total',
      help: 'Changes made through the API, by kind.',
      labelNames: ['change'],
      registers,
    }),
    authenticationFailures: new Counter({
      name: 'rollcall_api_authentication_failures_total',
      help: 'Requests without a valid token.',
      labelNames: ['reason'],
      registers,
    }),
    importedRows: new Counter({
      name: 'rollcall_import_rows_total',
      help: 'Rows of import jobs, by outcome.',
      labelNames: ['outcome', 'dry_run'],
      registers,
    }),
    deadlines: new Counter({
      name: 'rollcall_certificate_deadlines_total',
      help: 'Steps that time took in the life of certificates, by kind.',
      labelNames: ['kind'],
      registers,
    }),
    selfRegistrations: new Counter({
      name: 'rollcall_self_registrations_total',
      help: 'Devices that arrived to register themselves, by outcome: pending, active, refused.',
      labelNames: ['outcome'],
      registers,
    }),
    crlsStale: new Gauge({
      name: 'rollcall_issuer_crls_stale',
      help: 'Trust anchors whose CRL says that a newer one should be there by now.',
      registers,
    }),
    expiring: new Gauge({
      name: 'rollcall_device_certificates_expiring',
      help: 'Device certificates that admit and end within this time.',
      labelNames: ['within'],
      registers,
    }),
    eventsDropped: new Counter({
      name: 'rollcall_provisioning_events_dropped_total',
      help: 'Events of provisioning that the event log could not take.',
      registers,
    }),
    eventLogFailures: new Counter({
      name: 'rollcall_provisioning_event_log_failures_total',
      help: 'Times the event log could not be used, or was set aside as damaged.',
      registers,
    }),
    webhookDeliveries: new Counter({
      name: 'rollcall_webhook_deliveries_total',
      help: 'Attempts to deliver an event to a webhook, by outcome.',
      labelNames: ['outcome'],
      registers,
    }),
    streamsOpen: new Gauge({
      name: 'rollcall_event_streams',
      help: 'Streams of events that are open.',
      registers,
    }),
    serverRenewals: new Counter({
      name: 'rollcall_server_certificate_renewals_total',
      help: 'Server certificates issued by this process.',
      registers,
    }),
    caEnds: new Gauge({
      name: 'rollcall_issuing_ca_not_after_seconds',
      help: 'When the CA that issues ends, in seconds since the epoch.',
      registers,
    }),
    issuingKeyMissing: new Gauge({
      name: 'rollcall_issuing_key_missing',
      help: '1 where the key of the CA that is to issue is not here.',
      registers,
    }),
    crls: new Counter({
      name: 'rollcall_crls_made_total',
      help: 'Certificate revocation lists signed by this process.',
      registers,
    }),
    crlEntries: new Gauge({
      name: 'rollcall_crl_entries',
      help: 'Certificates on the newest revocation list, by issuing CA.',
      labelNames: ['issuer'],
      registers,
    }),
    ocspAnswers: new Counter({
      name: 'rollcall_ocsp_answers_total',
      help: 'OCSP answers given, by outcome.',
      labelNames: ['outcome'],
      registers,
    }),
    auditCheckpoints: new Counter({
      name: 'rollcall_audit_checkpoints_total',
      help: 'Audit checkpoints signed by this process.',
      registers,
    }),
    auditCheckpointFile: new Gauge({
      name: 'rollcall_audit_checkpoint_file',
      help: '1 where the newest audit checkpoint is kept in its file too, 0 where that cannot be written.',
      registers,
    }),
    auditTampered: new Gauge({
      name: 'rollcall_audit_tampered',
      help: '1 where the audit log was found tampered with and is not signed any more.',
      registers,
    }),
    requestSeconds: new Histogram({
      name: 'rollcall_api_request_seconds',
      help: 'Time from request to answer.',
      labelNames: ['method', 'route', 'status'],
      buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
      registers,
    }),
  }
  // A first one is an increase that can be seen.
  for (const kind of deadlineKinds) metrics.deadlines.inc({ kind }, 0)
  for (const outcome of ['pending', 'active', 'refused']) metrics.selfRegistrations.inc({ outcome }, 0)
  for (const outcome of ['good', 'revoked', 'unknown']) metrics.ocspAnswers.inc({ outcome }, 0)
  for (const outcome of ['delivered', 'failed']) metrics.webhookDeliveries.inc({ outcome }, 0)
  return metrics
}
