// The counters of the provisioning service in the Prometheus text format. Labels never carry device, token or serial.
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from '@prometheus-io/client'

export type ProvisioningMetrics = ReturnType<typeof createMetrics>

export function createMetrics() {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry, prefix: 'rollcall_provisioning_' })
  return {
    text: () => registry.metrics(),
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
}
