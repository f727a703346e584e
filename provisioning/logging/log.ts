// One function per thing worth a log line, each with its counter. Constant messages, facts as fields.
// Never a key, token, CSR or certificate text.
import { destination, pino, stdTimeFunctions } from 'pino'
import type { Job } from '../../db/jobs/job-store.ts'
import type { FailedDeadline, PassedDeadline } from '../../db/roll/deadlines.ts'
import type { RollCount } from '../../db/roll/roll-count.ts'
import type { ProvisioningMetrics } from '../metrics.ts'
import { auditEvents } from './audit-messages.ts'
import { caEvents } from './ca-messages.ts'
import { eventMessages } from './event-messages.ts'
import { messageEvents } from './message-events.ts'
import { registryMessages } from './registry-messages.ts'
import { webhookEvents } from './webhook-messages.ts'

export type LogLevel = 'json' | 'silent'
export type Log = ReturnType<typeof createLog>
type Caller = { requestId: string; actor: string }

type CrlMade = { issuerId: string; number: number; entries: number; bytes: number; seconds: number }
type AnchorChange = 'added' | 'renewed' | 'retired' | 'removed'

/** JSON lines on stderr: stdout belongs to data. */
export function createLog(level: LogLevel, metrics: ProvisioningMetrics) {
  const logger = pino(
    {
      level: level === 'silent' ? 'silent' : 'info',
      base: { service: 'provisioning' },
      timestamp: stdTimeFunctions.isoTime,
    },
    destination({ dest: 2, sync: true }),
  )
  /** Told of already. */
  let stale = new Set<string>()
  return {
    started: (fields: { url: string; data: string; made: string[] }) =>
      logger.info(fields, 'provisioning serves'),
    keysInTheClear: () =>
      logger.warn('the keys of the CA are not encrypted: rollcall ca encrypt puts them under a passphrase'),
    compromisedKeysAdmit: (fingerprints: readonly string[]) =>
      logger.warn(
        { count: fingerprints.length, fingerprints: fingerprints.slice(0, 10) },
        'certificates are not revoked although their key is, as compromised: rollcall doctor says what to do',
      ),
    directoryShared: (directory: string) =>
      logger.warn(
        { directory },
        'the data directory can be written by its group: keep others out of that group',
      ),
    stopped: () => logger.info('provisioning stopped'),
    serverCertificateRenewed: () => {
      metrics.serverRenewals.inc()
      logger.info('server certificate renewed')
    },
    serverCertificateShown: (notAfter: number) => metrics.serverCertificateEnds.set(notAfter / 1000),
    serverCertificateFailed: (error: unknown) =>
      logger.error({ err: error }, 'server certificate not renewed'),

    crlMade: (fields: CrlMade) => {
      const { seconds, ...facts } = fields
      metrics.crls.inc()
      metrics.crlEntries.set({ issuer: fields.issuerId.slice(0, 16) }, fields.entries)
      logger.info({ ...facts, ms: Math.round(seconds * 1000) }, 'CRL made')
    },
    crlFailed: (error: unknown) =>
      logger.error({ err: error }, 'CRL not made: the one before is served until it ends'),
    ocspAnswered: (outcome: string) => metrics.ocspAnswers.inc({ outcome }),
    responderFailed: (error: unknown) =>
      logger.error({ err: error }, 'OCSP responder not renewed: the one before is used until it ends'),
    statusFailed: (error: unknown) => logger.error({ err: error }, 'CRL or OCSP request failed'),

    issued: (tookMs: number) => metrics.issuingSeconds.observe(tookMs / 1000),
    deviceAdded: (caller: Caller, deviceId: string) => {
      metrics.changes.inc({ change: 'device_added' })
      logger.info({ ...caller, deviceId }, 'device added')
    },
    deviceChanged: (caller: Caller, deviceId: string) => {
      metrics.changes.inc({ change: 'device_changed' })
      logger.info({ ...caller, deviceId }, 'device changed')
    },
    deviceDeleted: (caller: Caller, deviceId: string) => {
      metrics.changes.inc({ change: 'device_deleted' })
      logger.info({ ...caller, deviceId }, 'device deleted')
    },
    deviceStateSet: (caller: Caller, deviceId: string, state: string) => {
      metrics.changes.inc({ change: `device_${state}` })
      logger.info({ ...caller, deviceId, state }, 'device state set')
    },
    sessionKicked: (caller: Caller, deviceId: string, clear: boolean) => {
      metrics.changes.inc({ change: clear ? 'session_cleared' : 'session_kicked' })
      logger.info({ ...caller, deviceId, clear }, 'session kicked')
    },
    nodeDrained: (caller: Caller, node: string, order: object) => {
      metrics.changes.inc({ change: 'node_drained' })
      logger.info({ ...caller, node, ...order }, 'node drained')
    },
    nodeResumed: (caller: Caller, node: string) => {
      metrics.changes.inc({ change: 'node_resumed' })
      logger.info({ ...caller, node }, 'node resumed')
    },
    certificateListed: (caller: Caller, deviceId: string, fingerprint: string, how: string) => {
      metrics.changes.inc({ change: `certificate_${how}` })
      logger.info({ ...caller, deviceId, fingerprint, how }, 'certificate listed')
    },
    canaryIssued: (caller: Caller, deviceId: string, fingerprint: string, kind: string) => {
      metrics.changes.inc({ change: 'canary_issued' })
      logger.info({ ...caller, deviceId, fingerprint, kind }, 'canary issued')
    },
    certificateMoved: (caller: Caller, fingerprint: string, status: string) => {
      metrics.changes.inc({ change: `certificate_${status}` })
      logger.info({ ...caller, fingerprint, status }, 'certificate moved')
    },
    enrollmentTokenMade: (caller: Caller, tokenId: string) => {
      metrics.changes.inc({ change: 'enrollment_token_made' })
      logger.info({ ...caller, tokenId }, 'enrollment token made')
    },
    enrollmentTokenRevoked: (caller: Caller, tokenId: string) => {
      metrics.changes.inc({ change: 'enrollment_token_revoked' })
      logger.info({ ...caller, tokenId }, 'enrollment token revoked')
    },
    claimMade: (caller: Caller, claimId: string, quota: number) => {
      metrics.changes.inc({ change: 'claim_made' })
      logger.info({ ...caller, claimId, quota }, 'claim made')
    },
    claimRevoked: (caller: Caller, claimId: string) => {
      metrics.changes.inc({ change: 'claim_revoked' })
      logger.info({ ...caller, claimId }, 'claim revoked')
    },
    anchorEnrollmentSet: (caller: Caller, issuerId: string, mode: string) => {
      metrics.changes.inc({ change: 'anchor_enrollment_set' })
      logger.info({ ...caller, issuerId, mode }, 'enrollment of a trust anchor set')
    },
    issuancesAbandoned: (issuances: number) =>
      logger.warn({ issuances }, 'a crash left decisions without certificates: they are closed'),
    pinnedBound: ({ bound, twins }: { bound: number; twins: readonly string[] }) => {
      if (bound > 0)
        logger.warn({ certificates: bound }, 'pinned certificates bound to the CA that signed them')
      if (twins.length > 0)
        logger.error(
          { fingerprints: twins.slice(0, 20) },
          'pinned certificates share a serial number of their CA: not bound',
        )
    },
    pinnedNotBound: (error: unknown) => logger.error({ err: error }, 'pinned certificates not looked at'),
    caRotated: (caller: Caller, issuerId: string) => {
      metrics.changes.inc({ change: 'ca_rotated' })
      logger.info({ ...caller, issuerId }, 'another CA issues now')
    },
    issuerSet: (caller: Caller, issuerId: string, enabled: boolean) => {
      metrics.changes.inc({ change: enabled ? 'issuer_enabled' : 'issuer_disabled' })
      logger.info({ ...caller, issuerId, enabled }, 'issuer set')
    },
    anchorChanged: (caller: Caller, issuerId: string, change: AnchorChange) => {
      metrics.changes.inc({ change: `issuer_${change}` })
      logger.info({ ...caller, issuerId, change }, 'trust anchor changed')
    },
    issuerProven: (caller: Caller, issuerId: string) => {
      metrics.changes.inc({ change: 'issuer_proven' })
      logger.info({ ...caller, issuerId }, 'possession of the CA key proven')
    },
    registrationSet: (caller: Caller, issuerId: string, mode: string) => {
      metrics.changes.inc({ change: 'issuer_registration' })
      logger.info({ ...caller, issuerId, mode }, 'registration under a trust anchor set')
    },
    crlImported: (issuerId: string, entries: number) => {
      metrics.changes.inc({ change: 'issuer_crl' })
      logger.info({ issuerId, entries }, 'CRL of a trust anchor in force')
    },
    crlNotRefreshed: (issuerId: string, why: string) =>
      logger.warn({ issuerId, why }, 'CRL not refreshed: the list in force stays'),
    crlsStale: (issuerIds: readonly string[]) => {
      metrics.crlsStale.set(issuerIds.length)
      for (const issuerId of issuerIds)
        if (!stale.has(issuerId))
          logger.warn({ issuerId }, 'CRL is stale: it stays in force, import a newer one')
      stale = new Set(issuerIds)
    },
    crlLookFailed: (error: unknown) =>
      logger.warn({ err: error }, 'CRLs not looked at: the registry cannot be used now'),
    selfRegistered: (device: { deviceId: string; fingerprint: string; issuerId: string }, mode: string) => {
      metrics.selfRegistrations.inc({ outcome: mode })
      const waits = mode === 'pending'
      logger.info(
        device,
        waits ? 'device registered itself and waits for approval' : 'device registered itself',
      )
    },
    selfRegistrationRefused: (device: { fingerprint: string; issuerId: string }, reason: string) => {
      metrics.selfRegistrations.inc({ outcome: 'refused' })
      logger.warn({ ...device, reason }, 'device may not register itself')
    },
    selfRegistrationFailed: (error: unknown) =>
      logger.warn({ err: error }, 'arrivals wait: the registry cannot be used now'),
    deadlinePassed: ({ kind, notAfter, ...certificate }: PassedDeadline) => {
      metrics.deadlines.inc({ kind })
      const fields = { ...certificate, notAfter: new Date(notAfter).toISOString() }
      if (kind === 'expiring') logger.info(fields, 'certificate expiring: time to renew it')
      else if (kind === 'critical') logger.warn(fields, 'certificate critical: it was not renewed')
      else logger.info({ ...fields, kind }, 'certificate moved by time')
    },
    rollCounted: ({ devices, certificates }: RollCount) => {
      for (const [state, count] of Object.entries(devices)) metrics.devices.set({ state }, count)
      for (const [status, count] of Object.entries(certificates)) metrics.certificates.set({ status }, count)
    },
    expiringCounted: (within: string, certificates: number) => metrics.expiring.set({ within }, certificates),
    lifecycleJobFailed: (error: unknown) =>
      logger.warn({ err: error }, 'deadlines wait: the registry cannot be used now'),
    deadlineFailed: ({ error, ...step }: FailedDeadline) =>
      logger.error({ ...step, err: error }, 'a step in the life of a certificate failed: it is put off'),
    certificatesGraced: (certificates: number) =>
      logger.warn(
        { certificates },
        'certificates that depart from RFC 5280 are admitted until version 0.2.0',
      ),
    certificateGraceEnded: (certificates: number) =>
      logger.warn({ certificates }, 'certificates that depart from RFC 5280 are refused from now on'),
    registryDamaged: (damage: string) =>
      logger.fatal({ damage }, 'the registry is damaged: stop the service and restore a backup'),
    certificateRevoked: (caller: Caller, fingerprint: string, reason: string, unreachable: number) => {
      metrics.changes.inc({ change: 'certificate_revoked' })
      logger.info({ ...caller, fingerprint, reason, unreachable }, 'certificate revoked')
    },

    jobAdded: (caller: Caller, jobId: string, rows: number, dryRun: boolean) => {
      metrics.changes.inc({ change: 'job_added' })
      logger.info({ ...caller, jobId, rows, dryRun }, 'import job added')
    },
    jobCancelled: (caller: Caller, jobId: string) => {
      metrics.changes.inc({ change: 'job_cancelled' })
      logger.info({ ...caller, jobId }, 'import job cancelled')
    },
    jobEnded: ({ id, dryRun, rowsDone, counts }: Pick<Job, 'id' | 'dryRun' | 'rowsDone' | 'counts'>) =>
      logger.info({ jobId: id, dryRun, rows: rowsDone, ...counts }, 'import job done'),
    jobDelayed: (jobId: string | null, error: unknown) =>
      logger.warn({ jobId, err: error }, 'import job cannot go on now: it is tried again'),
    jobFailed: (jobId: string, error: unknown) =>
      logger.error({ jobId, err: error }, 'import job ended: it cannot go on'),
    exportFailed: (deviceId: string, error: unknown) =>
      logger.error({ deviceId, err: error }, 'a device cannot be exported: the next one is'),
    rowFailed: (row: number, error: unknown) =>
      logger.error({ row, err: error }, 'a row of an import failed: the next one is worked off'),
    rowImported: (outcome: string, dryRun: boolean) =>
      metrics.importedRows.inc({ outcome, dry_run: String(dryRun) }),

    policyChanged: (caller: Caller, policy: string, change: string) => {
      metrics.changes.inc({ change })
      logger.info({ ...caller, policy, change }, 'policy changed')
    },

    tokenCreated: (caller: Caller, tokenId: string, name: string, role: string) => {
      metrics.changes.inc({ change: 'token_created' })
      logger.info({ ...caller, tokenId, name, role }, 'API token created')
    },
    tokenRevoked: (caller: Caller, tokenId: string) => {
      metrics.changes.inc({ change: 'token_revoked' })
      logger.info({ ...caller, tokenId }, 'API token revoked')
    },
    operatorAdded: (caller: Caller, fingerprint: string, name: string, role: string) => {
      metrics.changes.inc({ change: 'operator_added' })
      logger.info({ ...caller, fingerprint, name, role }, 'operator added')
    },
    operatorRevoked: (caller: Caller, fingerprint: string) => {
      metrics.changes.inc({ change: 'operator_revoked' })
      logger.info({ ...caller, fingerprint }, 'operator revoked')
    },

    ...auditEvents(logger, metrics),
    ...caEvents(logger, metrics),
    ...eventMessages(logger, metrics),

    ...registryMessages(logger),
    ...webhookEvents(logger, metrics),
    ...messageEvents(logger, metrics),
    streamsOpen: (open: number) => metrics.streamsOpen.set(open),
    signedIn: (caller: Caller, kind: string) => logger.info({ ...caller, kind }, 'signed in'),
    signedOut: (caller: Caller) => logger.info(caller, 'signed out'),
    authenticationFailed: (fields: { requestId: string; address: string; reason: string }) => {
      metrics.authenticationFailures.inc({ reason: fields.reason })
      logger.warn(fields, 'authentication failed')
    },
    lastUseNotNoted: (error: unknown) => logger.warn({ err: error }, 'last use of a credential not noted'),
    answerNotKept: (requestId: string, error: unknown) =>
      logger.warn({ requestId, err: error }, 'answer not kept for its idempotency key'),
    requestRefused: (fields: { requestId: string; route: string; status: number; reason: string }) =>
      logger.info(fields, 'request refused'),
    requestFailed: (fields: { requestId: string; route: string; reason: string }, error: unknown) =>
      logger.error({ ...fields, err: error }, 'request failed'),
    answered: (fields: { method: string; route: string; status: number; seconds: number }) => {
      const { seconds, ...labels } = fields
      metrics.requestSeconds.observe({ ...labels, status: String(fields.status) }, seconds)
    },
  }
}
