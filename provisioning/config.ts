// The settings of the provisioning service: read from options and environment, validated, with every problem listed at once.
import { isIP } from 'node:net'
import { isAbsolute } from 'node:path'
import type { ServiceSettings, SettingRecord } from '../db/service-records.ts'
import { isMlDsa, type PqMode, pqModes } from '../pki/key-policy.ts'
import type { SealingInterval } from './audit/audit-sealer.ts'
import { type CaKeyType, caKeyTypes } from './ca/keys.ts'
import { isServerName } from './ca/server-certificate.ts'
import type { TokenSettings } from './ca/token-keys.ts'
import type { LogLevel } from './logging/log.ts'
import { type DeliveryTiming, timing } from './webhooks/delivery-queue.ts'

/** What a caller gives. Ports may be 0: the system then picks one. */
export type ProvisioningOptions = {
  data: string
  host: string
  apiPort: number
  /** `postgres://…` of a registry that several machines share; null for the file in the data directory. */
  registry?: string | null
  /** File with the password for it; null for the file that libpq would read. */
  registryPasswordFile?: string | null
  /** Port of CRL and OCSP, plain HTTP. */
  statusPort?: number
  /** Where CRL and OCSP are reached from elsewhere; null derives it from host, names and port. */
  statusUrl?: string | null
  /** File with the passphrase of the CA's keys; null leaves them in the clear. */
  caPassphraseFile?: string | null
  /** A PKCS #11 token in which keys of issuing CAs are made; null for files. */
  token?: TokenSettings | null
  /** How long a CRL holds. */
  crlHours?: number
  /** How long an OCSP answer holds. */
  ocspMinutes?: number
  /** Names and addresses in the server certificate besides this machine's own. */
  sans: string[]
  log?: LogLevel
  /** Types of the keys of CAs that the bootstrap makes. */
  keyTypes?: { root: CaKeyType; issuing: CaKeyType }
  /** Whether TPMs that nothing vouches for may ask for a certificate, which then waits for an operator. */
  unknownTpms?: UnknownTpms
  /** Whether certificates may hold ML-DSA keys, and our own CAs too. */
  pq?: PqMode
  /** Validity of a device certificate where the request names none, in days. */
  deviceDays?: number
  /** Requests per minute and token. */
  requestsPerMinuteMax?: number
  /** Requests without a valid token per minute and address. */
  failuresPerMinuteMax?: number
  /** For how many days after its end a certificate may still be renewed, by EST alone. */
  renewExpiredDays?: number
  /** How long a device that waits for an operator is told to wait before it asks again by CMP. */
  cmpCheckAfterSeconds?: number
  /** How long a receipt waits for brokers. */
  receiptTimeoutMs?: number
  /** When audit rows get a signed checkpoint: after so many, or after so long. */
  sealing?: SealingInterval
  /** Where the newest audit checkpoint is kept besides the registry; null for `audit.checkpoint` in the data directory. */
  auditCheckpointFile?: string | null
  /** How often to look for what time does to certificates. */
  lifecycleJobMs?: number
  /** For how long one of several services may say nothing before its imports are ended. */
  importGoneMs?: number
  /** Whether certificates that an older version let in, and that RFC 5280 forbids to rely on, are admitted on. */
  certificateGrace?: boolean
  /** Whether CRLs of trust anchors may be fetched from private addresses. */
  crlPrivateAddresses?: boolean
  /** Whether webhooks may lead to private addresses, and be plain HTTP. */
  webhookPrivateAddresses?: boolean
  /** How soon and for how long a webhook is tried again. */
  webhookTiming?: DeliveryTiming
  /** How often to look which of them are due. */
  crlLookMs?: number
  /** The clock, in ms since the epoch. */
  now?: () => number
}

const unknownTpmModes = ['refuse', 'pending'] as const
type UnknownTpms = (typeof unknownTpmModes)[number]

export type ProvisioningConfig = Required<ProvisioningOptions>

/** The environment of a process, or a part of it. */
export type Environment = Readonly<Record<string, string | undefined>>

/** Every variable that is read, with what came of it. None holds a secret: those are in files. */
export const variables: Readonly<
  Record<string, (config: ProvisioningConfig) => string | number | boolean | null>
> = {
  ROLLCALL_ROOT_KEY_TYPE: ({ keyTypes }) => keyTypes.root,
  ROLLCALL_ISSUING_KEY_TYPE: ({ keyTypes }) => keyTypes.issuing,
  ROLLCALL_PQ: ({ pq }) => pq,
  ROLLCALL_TPM_UNKNOWN: ({ unknownTpms }) => unknownTpms,
  ROLLCALL_DEVICE_DAYS: ({ deviceDays }) => deviceDays,
  ROLLCALL_RENEW_EXPIRED_DAYS: ({ renewExpiredDays }) => renewExpiredDays,
  ROLLCALL_CA_PASSPHRASE_FILE: ({ caPassphraseFile }) => caPassphraseFile,
  ROLLCALL_PKCS11_MODULE: ({ token }) => token?.module ?? null,
  ROLLCALL_PKCS11_TOKEN: ({ token }) => token?.token ?? null,
  ROLLCALL_PKCS11_PIN_FILE: ({ token }) => token?.pinFile ?? null,
  ROLLCALL_STATUS_URL: ({ statusUrl }) => statusUrl,
  ROLLCALL_CRL_HOURS: ({ crlHours }) => crlHours,
  ROLLCALL_OCSP_MINUTES: ({ ocspMinutes }) => ocspMinutes,
  ROLLCALL_CERTIFICATE_GRACE: ({ certificateGrace }) => certificateGrace,
  ROLLCALL_CRL_PRIVATE_ADDRESSES: ({ crlPrivateAddresses }) => crlPrivateAddresses,
  ROLLCALL_WEBHOOK_PRIVATE_ADDRESSES: ({ webhookPrivateAddresses }) => webhookPrivateAddresses,
  ROLLCALL_REGISTRY: ({ registry }) => registry,
  ROLLCALL_REGISTRY_PASSWORD_FILE: ({ registryPasswordFile }) => registryPasswordFile,
  ROLLCALL_AUDIT_CHECKPOINT_FILE: ({ auditCheckpointFile }) => auditCheckpointFile,
  ROLLCALL_API_REQUESTS_PER_MINUTE: ({ requestsPerMinuteMax }) => requestsPerMinuteMax,
  ROLLCALL_API_FAILURES_PER_MINUTE: ({ failuresPerMinuteMax }) => failuresPerMinuteMax,
}

/** Each variable's setting, and whether the environment says so. */
export function effectiveVariables(config: ProvisioningConfig, environment: Environment): SettingRecord[] {
  return Object.entries(variables).map(([name, value]) => ({
    name,
    value: value(config),
    ...(environment[name] ? { from: 'environment', source: name } : { from: 'default', source: null }),
  }))
}

/** What the service runs with, for operators to see. */
export function ownSettings(config: ProvisioningConfig, environment: Environment): ServiceSettings {
  const { host, apiPort, statusPort, sans, now } = config
  const options = { host, apiPort, statusPort, san: sans.join(', ') }
  const rows = Object.entries(options).map(([name, value]) => ({
    ...{ name, value, from: 'option' as const, source: null },
  }))
  return { startedAt: now(), settings: [...rows, ...effectiveVariables(config, environment)] }
}

/** Options win over the environment, and that over defaults. Throws one error that lists all that is wrong as `problems`. */
export function readConfig(options: ProvisioningOptions, environment: Environment = {}): ProvisioningConfig {
  const problems: string[] = []
  const number = (name: string, fallback: number) => numberOf(environment, name, fallback, problems)
  const flag = (name: string, fallback: 0 | 1) => {
    const value = number(name, fallback)
    if (value > 1) problems.push(outOf(name, value, 0, 1))
    return value === 1
  }
  const keyType = (name: string) => (environment[name] ?? 'p256') as CaKeyType
  const statusUrl = options.statusUrl ?? (environment['ROLLCALL_STATUS_URL'] || null)
  const config: ProvisioningConfig = {
    data: options.data,
    host: options.host,
    apiPort: options.apiPort,
    registry: options.registry ?? (environment['ROLLCALL_REGISTRY'] || null),
    registryPasswordFile:
      options.registryPasswordFile ?? (environment['ROLLCALL_REGISTRY_PASSWORD_FILE'] || null),
    sans: options.sans,
    log: options.log ?? 'json',
    keyTypes: options.keyTypes ?? {
      root: keyType('ROLLCALL_ROOT_KEY_TYPE'),
      issuing: keyType('ROLLCALL_ISSUING_KEY_TYPE'),
    },
    pq: options.pq ?? ((environment['ROLLCALL_PQ'] || 'accept') as PqMode),
    unknownTpms: options.unknownTpms ?? ((environment['ROLLCALL_TPM_UNKNOWN'] || 'refuse') as UnknownTpms),
    statusPort: options.statusPort ?? 0,
    statusUrl: statusUrl === null ? null : statusUrl.replace(/\/+$/, ''),
    token: options.token ?? tokenOf(environment, problems),
    caPassphraseFile: options.caPassphraseFile ?? (environment['ROLLCALL_CA_PASSPHRASE_FILE'] || null),
    crlHours: options.crlHours ?? number('ROLLCALL_CRL_HOURS', 24),
    ocspMinutes: options.ocspMinutes ?? number('ROLLCALL_OCSP_MINUTES', 60),
    deviceDays: options.deviceDays ?? number('ROLLCALL_DEVICE_DAYS', 90),
    requestsPerMinuteMax: options.requestsPerMinuteMax ?? number('ROLLCALL_API_REQUESTS_PER_MINUTE', 60_000),
    failuresPerMinuteMax: options.failuresPerMinuteMax ?? number('ROLLCALL_API_FAILURES_PER_MINUTE', 60),
    renewExpiredDays: options.renewExpiredDays ?? number('ROLLCALL_RENEW_EXPIRED_DAYS', 0),
    cmpCheckAfterSeconds: options.cmpCheckAfterSeconds ?? 60,
    receiptTimeoutMs: options.receiptTimeoutMs ?? 2_000,
    sealing: options.sealing ?? { rows: 1_000, intervalMs: 60_000 },
    auditCheckpointFile:
      options.auditCheckpointFile ?? (environment['ROLLCALL_AUDIT_CHECKPOINT_FILE'] || null),
    lifecycleJobMs: options.lifecycleJobMs ?? 1_000,
    importGoneMs: options.importGoneMs ?? 300_000,
    certificateGrace: options.certificateGrace ?? flag('ROLLCALL_CERTIFICATE_GRACE', 1),
    crlPrivateAddresses: options.crlPrivateAddresses ?? flag('ROLLCALL_CRL_PRIVATE_ADDRESSES', 0),
    crlLookMs: options.crlLookMs ?? 60_000,
    webhookPrivateAddresses: options.webhookPrivateAddresses ?? flag('ROLLCALL_WEBHOOK_PRIVATE_ADDRESSES', 0),
    webhookTiming: options.webhookTiming ?? timing,
    now: options.now ?? Date.now,
  }
  problems.push(...faultsOf(config))
  if (problems.length > 0) {
    throw Object.assign(new Error(`provisioning cannot start: ${problems.join('; ')}`), { problems })
  }
  return config
}

function faultsOf(config: ProvisioningConfig): string[] {
  const faults: string[] = []
  const check = (holds: boolean, fault: string) => void (holds || faults.push(fault))
  check(config.data !== '', 'no data directory is named: give --data DIR')
  check(
    isIP(config.host) !== 0 || isServerName(config.host),
    `the host ${JSON.stringify(config.host)} is neither an address nor a name`,
  )
  check(isPort(config.apiPort), `the API port ${config.apiPort} is not a number from 0 to 65535`)
  check(isPort(config.statusPort), `the status port ${config.statusPort} is not a number from 0 to 65535`)
  check(
    config.statusUrl === null || /^http:\/\/[^/?#@\s]+(\/[^?#\s]*)?$/.test(config.statusUrl),
    `ROLLCALL_STATUS_URL ${JSON.stringify(config.statusUrl)} is not of the form http://HOST[:PORT][/PATH]`,
  )
  const number = (name: string, value: number, least: number, most: number) =>
    check(isWithin(value, least, most), outOf(name, value, least, most))
  number('ROLLCALL_OCSP_MINUTES', config.ocspMinutes, 5, 10_080)
  number('ROLLCALL_CRL_HOURS', config.crlHours, 1, 720)
  number('ROLLCALL_DEVICE_DAYS', config.deviceDays, 1, 825)
  number('ROLLCALL_API_REQUESTS_PER_MINUTE', config.requestsPerMinuteMax, 1, 10_000_000)
  number('ROLLCALL_API_FAILURES_PER_MINUTE', config.failuresPerMinuteMax, 1, 1_000_000)
  number('ROLLCALL_RENEW_EXPIRED_DAYS', config.renewExpiredDays, 0, 30)
  check(
    config.auditCheckpointFile === null || isAbsolute(config.auditCheckpointFile),
    `ROLLCALL_AUDIT_CHECKPOINT_FILE ${JSON.stringify(config.auditCheckpointFile)} is no absolute path`,
  )
  for (const san of config.sans) {
    check(isServerName(san), `--san ${JSON.stringify(san)} is neither a DNS name nor an IP address`)
  }
  for (const [what, type] of Object.entries(config.keyTypes)) {
    check(caKeyTypes.includes(type), `the ${what} key type ${type} is none of ${caKeyTypes.join(', ')}`)
    // A client that cannot verify ML-DSA could not verify the server certificate under such a CA either.
    check(
      !isMlDsa(type) || config.pq === 'issue',
      `the ${what} key type ${type} needs --pq issue or ROLLCALL_PQ=issue`,
    )
  }
  check(pqModes.includes(config.pq), `ROLLCALL_PQ ${config.pq} is none of ${pqModes.join(', ')}`)
  check(
    unknownTpmModes.includes(config.unknownTpms),
    `ROLLCALL_TPM_UNKNOWN ${config.unknownTpms} is none of ${unknownTpmModes.join(', ')}`,
  )
  return faults
}

function tokenOf(environment: Environment, problems: string[]): TokenSettings | null {
  const module = environment['ROLLCALL_PKCS11_MODULE'] ?? ''
  const token = environment['ROLLCALL_PKCS11_TOKEN'] ?? ''
  const pinFile = environment['ROLLCALL_PKCS11_PIN_FILE'] ?? ''
  const named = [module, token, pinFile].filter(Boolean).length
  if (named === 0) return null
  if (named < 3) {
    problems.push(
      'ROLLCALL_PKCS11_MODULE, ROLLCALL_PKCS11_TOKEN and ROLLCALL_PKCS11_PIN_FILE belong together',
    )
  }
  return { module, token, pinFile }
}

function numberOf(environment: Environment, name: string, fallback: number, problems: string[]): number {
  const text = environment[name]
  if (text === undefined || text === '') return fallback
  if (/^\d{1,9}$/.test(text)) return Number(text)
  problems.push(`${name} is ${JSON.stringify(text)}, not a whole number`)
  return fallback
}

function outOf(name: string, value: number, least: number, most: number): string {
  return `${name} is ${value}, not a whole number from ${least} to ${most}`
}

function isPort(value: number): boolean {
  return isWithin(value, 0, 65_535)
}

function isWithin(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most
}

export function hostInUrl(host: string): string {
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host
  return reachable.includes(':') ? `[${reachable}]` : reachable
}
