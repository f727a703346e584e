// What a gate trusts and shows at this moment: the issuers in the registry, and a TLS context made from them and from
// the server certificate on disk. Read anew when either changes.
import { join } from 'node:path'
import type { SecureContextOptions } from 'node:tls'
import { type Issuer, readIssuers } from '../../db/issuers/issuer-store.ts'
import type { Registry } from '../../db/open.ts'
import { readTlsContext, type TlsFiles } from './tls-context.ts'

export type Trust = { issuers: ReadonlyMap<string, Issuer>; context: SecureContextOptions }
/** Throws where a file is missing, damaged or does not fit, or the registry cannot be read. */
export type ReadTrust = () => Trust

export function serverFiles(data: string): TlsFiles {
  return { certificate: join(data, 'server.crt'), key: join(data, 'keys', 'server.key') }
}

export function createReadTrust(registry: Registry, data: string, ticketLifetimeMs: number): ReadTrust {
  const files = serverFiles(data)
  return () => {
    const issuers = readIssuers(registry)
    return { issuers, context: readTlsContext({ files, issuers: issuers.values(), ticketLifetimeMs }) }
  }
}
