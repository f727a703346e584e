// All that runs for trust anchors beside requests: devices that register themselves, and CRLs that are looked for.

import type { RegistryWriter } from '../../db/index.ts'
import { createArrivalReader } from '../../db/issuers/arrivals.ts'
import { readIssuerCrlStatuses } from '../../db/issuers/issuer-crls.ts'
import type { Issuer } from '../../db/issuers/issuer-store.ts'
import { readTrustAnchor } from '../../db/issuers/trust-anchors.ts'
import type { Registry } from '../../db/open.ts'
import { createRollReader } from '../../db/roll/roll-reader.ts'
import type { PqMode } from '../../pki/key-policy.ts'
import type { Log } from '../logging/log.ts'
import { validateUrl } from '../outbound/address-guard.ts'
import { createCoverageCheck } from './crl-coverage.ts'
import { fetchCrl } from './crl-fetch.ts'
import { CRL_BYTES_MAX, startIssuerCrls } from './issuer-crls.ts'
import { startRegistrar } from './registrar.ts'
import { createRetirementCheck } from './retirement.ts'

export type AnchorService = ReturnType<typeof startAnchorService>

const REGISTRAR_LOOKS_EVERY_MS = 250
const FETCH = { bytesMax: CRL_BYTES_MAX, timeoutMs: 10_000, redirectsMax: 3 }

export function startAnchorService(parts: {
  reading: Registry
  writer: RegistryWriter
  issuers(): Map<string, Issuer>
  /** Whether this process decides about arrivals and fetches CRLs. */
  leads(): boolean
  log: Log
  pq: PqMode
  now: () => number
  crlPrivateAddresses: boolean
  crlLookMs: number
}) {
  const { reading, writer, issuers, log, now } = parts
  const roll = createRollReader(reading)
  const arrivals = createArrivalReader(reading)
  const limits = { ...FETCH, privateAddresses: parts.crlPrivateAddresses }
  const show = (issuerId: string) => readTrustAnchor(reading, issuerId)
  const statuses = (issuerId?: string) => readIssuerCrlStatuses(reading, issuerId)
  const registrar = startRegistrar({
    waiting: arrivals.waiting,
    anchor: show,
    issuers,
    isDevice: async id => (await roll.device(id)) !== null,
    writer,
    log,
    pq: parts.pq,
    now,
    everyMs: REGISTRAR_LOOKS_EVERY_MS,
    leads: parts.leads,
  })
  const crls = startIssuerCrls({
    writer,
    issuers,
    statuses,
    uncovered: createCoverageCheck(reading, issuers),
    fetch: url => fetchCrl(url, limits),
    log,
    now,
    everyMs: parts.crlLookMs,
    leads: parts.leads,
  })
  // Earlier versions pinned without looking which CA signed.
  const binding = writer
    .bindPinned({ name: 'provisioning', kind: 'service' })
    .then(log.pinnedBound, log.pinnedNotBound)
  return {
    show,
    arrivals: arrivals.ofIssuer,
    crl: async (issuerId: string) => (await statuses(issuerId))[0] ?? null,
    importCrl: crls.importCrl,
    refreshCrl: crls.refresh,
    staleCrls: crls.staleCount,
    reliantOn: createRetirementCheck(reading, issuers),
    /** Throws where a URL may not be asked. */
    validateCrlUrl: (url: string) => validateUrl(url, limits).href,
    async stop() {
      await Promise.all([registrar.stop(), crls.stop(), binding])
    },
  }
}
