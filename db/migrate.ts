// Brings a registry file to the schema this version speaks, or says why it will not.
// The schema version is SQLite's user_version; the application_id marks the file as a Rollcall registry.
import type { Database } from 'better-sqlite3'
import * as roll from './migrations/0001-roll.ts'
import * as auditChain from './migrations/0002-audit-chain.ts'
import * as lifeCycle from './migrations/0003-life-cycle.ts'
import * as sessionSubscriptions from './migrations/0004-session-subscriptions.ts'
import * as operators from './migrations/0005-operators.ts'
import * as enrollmentTokens from './migrations/0006-enrollment-tokens.ts'
import * as trustAnchors from './migrations/0007-trust-anchors.ts'
import * as revocationStatus from './migrations/0008-revocation-status.ts'
import * as jobs from './migrations/0009-jobs.ts'
import * as claimCounts from './migrations/0010-claim-counts.ts'
import * as idevids from './migrations/0011-idevids.ts'
import * as overview from './migrations/0012-overview.ts'
import * as webhooks from './migrations/0013-webhooks.ts'
import * as keyRevocation from './migrations/0015-key-revocation.ts'
import * as actorKinds from './migrations/0016-actor-kinds.ts'
import * as certificateConformance from './migrations/0020-certificate-conformance.ts'
import * as tokenScope from './migrations/0022-token-scope.ts'
import * as renewedAnchors from './migrations/0025-renewed-anchors.ts'
import * as jobInterruptions from './migrations/0026-job-interruptions.ts'
import * as idevidSerials from './migrations/0027-idevid-serials.ts'
import * as lastSeen from './migrations/0030-last-seen.ts'
import * as deviceCertificates from './migrations/0031-device-certificates.ts'
import * as tpms from './migrations/0032-tpms.ts'
import * as denials from './migrations/0033-denials.ts'
import * as lastSeenIndexes from './migrations/0034-last-seen-indexes.ts'
import * as sessionChanges from './migrations/0040-session-changes.ts'
import * as deletedDevices from './migrations/0041-deleted-devices.ts'
import * as acmeAccounts from './migrations/0042-acme-accounts.ts'
import * as deletedDevicesByName from './migrations/0043-deleted-devices-by-name.ts'
import * as nodeLinks from './migrations/0044-node-links.ts'
import * as nodeDrains from './migrations/0045-node-drains.ts'
import * as auditTimes from './migrations/0046-audit-times.ts'
import * as retainedChanges from './migrations/0047-retained-changes.ts'
import * as servedJobs from './migrations/0048-served-jobs.ts'
import { RegistryError } from './registry-error.ts'

export const APPLICATION_ID = 0x524f4c4c // "ROLL"

/** SQL alone, or a function where rows must be worked on. */
type Migration = { name: string; sql: string } | { name: string; apply(db: Database): void }
const migrations: readonly Migration[] = [
  roll,
  auditChain,
  lifeCycle,
  sessionSubscriptions,
  operators,
  enrollmentTokens,
  trustAnchors,
  revocationStatus,
  jobs,
  claimCounts,
  idevids,
  overview,
  webhooks,
  keyRevocation,
  actorKinds,
  certificateConformance,
  tokenScope,
  renewedAnchors,
  jobInterruptions,
  idevidSerials,
  lastSeen,
  deviceCertificates,
  tpms,
  denials,
  lastSeenIndexes,
  sessionChanges,
  deletedDevices,
  acmeAccounts,
  deletedDevicesByName,
  nodeLinks,
  nodeDrains,
  auditTimes,
  retainedChanges,
  servedJobs,
]

/** The schema version this code reads and writes. */
export const schemaVersion = migrations.length
/** Enough for a copy of the file: what any registry is. */
export const FIRST_SCHEMA = 1
/** From here on audit rows are chained, in tables that are still the same. */
export const CHAIN_SCHEMA = 2

/**
 * Applies what is missing, up to a schema, in one transaction. Throws `RegistryError` where the file is not ours or newer.
 */
export function migrate(db: Database, schema = schemaVersion): void {
  assertOurs(db)
  db.transaction(() => {
    for (let version = readVersion(db); version < schema; version += 1) {
      const migration = migrations[version]!
      if ('sql' in migration) db.exec(migration.sql)
      else migration.apply(db)
      db.pragma(`user_version = ${version + 1}`)
      db.pragma(`application_id = ${APPLICATION_ID}`)
    }
  }).immediate()
}

/** Throws unless the file holds the schema this code speaks, or one that is no older than what the caller can read. */
export function assertSchema(db: Database, oldest = schemaVersion): void {
  assertOurs(db)
  const version = readVersion(db)
  if (version < oldest) {
    throw new RegistryError(
      'registry_outdated',
      `the registry has schema ${version}, this version needs ${oldest}`,
    )
  }
}

function assertOurs(db: Database): void {
  const version = readVersion(db)
  if (version > schemaVersion) {
    throw new RegistryError(
      'registry_newer',
      `the registry has schema ${version}, this version knows ${schemaVersion}: start the version that wrote it, or a newer one`,
    )
  }
  const applicationId = db.pragma('application_id', { simple: true })
  const empty = version === 0 && db.prepare('SELECT count(*) FROM sqlite_schema').pluck().get() === 0
  if (applicationId !== APPLICATION_ID && !empty) {
    throw new RegistryError('registry_foreign', 'the file is a SQLite database but not a Rollcall registry')
  }
}

function readVersion(db: Database): number {
  return db.pragma('user_version', { simple: true }) as number
}
