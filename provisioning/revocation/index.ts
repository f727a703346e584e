// CRL, OCSP and the CA certificates put together: the addresses in certificates, and the services behind them.
import 'reflect-metadata'
import { hostname } from 'node:os'
import * as x509 from '@peculiar/x509'
import type { Registry } from '../../db/index.ts'
import type { CertificateWriter } from '../../db/issuance/certificate-writer.ts'
import { createCrlStore } from '../../db/issuers/crl-store.ts'
import { prepareRevocationReader } from '../../db/issuers/revocation-reader.ts'
import type { SharedFiles } from '../../db/replication/shared-files.ts'
import type { IssuingCa } from '../ca/issuing-ca.ts'
import type { DataDirectory } from '../data-directory.ts'
import type { Log } from '../logging/log.ts'
import { type CrlService, startCrlService } from './crl-service.ts'
import { createOcspService } from './ocsp-service.ts'
import { createResponders } from './responder.ts'
import { shortNameOf } from './short-name.ts'
import { statusRoutes } from './status-routes.ts'
import type { StatusServer } from './status-server.ts'

type RevocationParts = {
  server: StatusServer
  /** Every CA that ever issued here, the current one first. */
  cas: () => readonly IssuingCa[]
  registry: Registry
  reading: Registry
  directory: DataDirectory
  writer: Pick<CertificateWriter, 'recordIntent' | 'completeIntent'>
  crlLifetimeMs: number
  ocspLifetimeMs: number
  /** Whether this process makes the lists; else it serves those of the one that does, from `files`. */
  leads(): boolean
  files: Pick<SharedFiles, 'put' | 'get'> | null
  now: () => number
  log: Pick<Log, 'crlMade' | 'crlFailed' | 'ocspAnswered' | 'responderFailed'>
}

export type Revocation = {
  crls: Pick<CrlService, 'crl' | 'look'>
  /** Renews the responders' certificates that are due; runs by itself every minute. */
  keepResponders(): Promise<void>
  stop(): Promise<void>
}

const RESPONDERS_CHECK_MS = 60_000

export async function startRevocation(parts: RevocationParts): Promise<Revocation> {
  const { server, cas, registry, reading, directory, writer, now, log } = parts
  const reader = prepareRevocationReader(reading.sqlite)
  const responders = createResponders({ directory, cas, writer, now })
  const keepResponders = () => responders.keep().catch(log.responderFailed)
  await keepResponders()
  const timer = setInterval(keepResponders, RESPONDERS_CHECK_MS)
  timer.unref()
  const crls = await startCrlService({
    cas,
    reader,
    store: createCrlStore(registry),
    folder: directory.crls,
    lifetimeMs: parts.crlLifetimeMs,
    leads: parts.leads,
    files: parts.files,
    now,
    onMade: log.crlMade,
    onFailed: log.crlFailed,
  })
  const named = (shortName: string) => cas().find(ca => shortNameOf(ca.id) === shortName) ?? null
  const rootOf = (shortName: string) => cas().find(({ root }) => shortNameOf(idOf(root)) === shortName)?.root
  server.serve(
    statusRoutes({
      crl: shortName => crls.crl(named(shortName)?.id ?? ''),
      certificate: shortName => named(shortName)?.certificate ?? rootOf(shortName) ?? null,
      ocsp: createOcspService({ cas, responders, reader, lifetimeMs: parts.ocspLifetimeMs, now }),
      onOcsp: log.ocspAnswered,
      now,
    }),
  )
  return {
    crls,
    keepResponders,
    stop: () => {
      clearInterval(timer)
      return crls.stop()
    },
  }
}

/** What certificates under an issuer say about where its CRL and its own certificate are (RFC 5280 §4.2.1.13, §4.2.2.1). */
export function pointersTo(url: string, issuerId: string): x509.Extension[] {
  const shortName = shortNameOf(issuerId)
  return [
    new x509.CRLDistributionPointsExtension([`${url}/crl/${shortName}.crl`]),
    new x509.AuthorityInfoAccessExtension({
      ocsp: `${url}/ocsp`,
      caIssuers: `${url}/ca/${shortName}.crt`,
    }),
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
