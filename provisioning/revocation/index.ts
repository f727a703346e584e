// CRL, OCSP and the CA certificates put together: what certificates point at, and who answers there.
import 'reflect-metadata'
import { hostname } from 'node:os'
import * as x509 from '@peculiar/x509'
import { prepareChangeReader } from '../../db/change-feed.ts'
import { createCrlStore } from '../../db/crl-store.ts'
import type { Registry } from '../../db/index.ts'
import { prepareRevocationReader } from '../../db/revocation-reader.ts'
import type { Events } from '../events.ts'
import type { IssuingCa } from '../issuing-ca.ts'
import { type CrlDesk, startCrlDesk } from './crl-desk.ts'
import { shortNameOf, statusRoutes } from './status-routes.ts'
import type { StatusServer } from './status-server.ts'

export type RevocationParts = {
  server: StatusServer
  /** Every CA that ever issued here, the current one first. */
  cas: () => readonly IssuingCa[]
  registry: Registry
  reading: Registry
  /** Where lists are kept. */
  folder: string
  crlLifetimeMs: number
  now: () => number
  events: Pick<Events, 'crlMade' | 'crlFailed'>
}

export type Revocation = { crls: Pick<CrlDesk, 'crl' | 'look'>; stop(): Promise<void> }

export async function startRevocation(parts: RevocationParts): Promise<Revocation> {
  const { server, cas, registry, reading, folder, crlLifetimeMs, now, events } = parts
  const crls = await startCrlDesk({
    cas,
    reader: prepareRevocationReader(reading.sqlite),
    changes: prepareChangeReader(reading),
    store: createCrlStore(registry),
    folder,
    lifetimeMs: crlLifetimeMs,
    now,
    onMade: events.crlMade,
    onFailed: events.crlFailed,
  })
  const named = (shortName: string) => cas().find(ca => shortNameOf(ca.id) === shortName) ?? null
  const rootOf = (shortName: string) => cas().find(({ root }) => shortNameOf(idOf(root)) === shortName)?.root
  server.serve(
    statusRoutes({
      crl: shortName => crls.crl(named(shortName)?.id ?? ''),
      certificate: shortName => named(shortName)?.certificate ?? rootOf(shortName) ?? null,
      now,
    }),
  )
  return { crls, stop: crls.stop }
}

/** What certificates under an issuer say about where its CRL and its own certificate are (RFC 5280 §4.2.1.13, §4.2.2.1). */
export function pointersTo(url: string, issuerId: string): x509.Extension[] {
  const shortName = shortNameOf(issuerId)
  return [
    new x509.CRLDistributionPointsExtension([`${url}/crl/${shortName}.crl`]),
    new x509.AuthorityInfoAccessExtension({ caIssuers: `${url}/ca/${shortName}.crt` }),
  ]
}

/** Where the status server is reached from elsewhere, as far as this start tells. */
export function statusUrlOf({
  host,
  sans,
  port,
}: {
  host: string
  sans: readonly string[]
  port: number
}): string {
  const everywhere = host === '0.0.0.0' || host === '::'
  const name = sans.find(san => !san.startsWith('*')) ?? (everywhere ? hostname() : host)
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`
}

function idOf(certificate: { fingerprint256: string }): string {
  return certificate.fingerprint256.replaceAll(':', '').toLowerCase()
}
