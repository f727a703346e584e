// The trust anchors and the TLS context of a gate: issuers from the registry, the server certificate from disk. Read again
// when either changes.
import { join } from 'node:path'
import type { SecureContextOptions } from 'node:tls'
import { type Issuer, readIssuers } from '../../../db/issuers/issuer-store.ts'
import type { Registry } from '../../../db/open.ts'
import { createChainVerifier, type VerifyChain } from './chain-verifier.ts'
import { NotPrepared, readTlsContext, type TlsFiles, type TlsSettings } from './tls-context.ts'

export type Trust = {
  issuers: ReadonlyMap<string, Issuer>
  verifyChain: VerifyChain
  context: SecureContextOptions
}
/** Throws where a file is missing, damaged or does not fit, or the registry cannot be read. */
export type ReadTrust = () => Trust

export function serverFiles(data: string): TlsFiles {
  return { certificate: join(data, 'server.crt'), key: join(data, 'keys', 'server.key') }
}

export function createReadTrust(registry: Registry, data: string, settings: TlsSettings): ReadTrust {
  const files = serverFiles(data)
  return () => {
    const issuers = readIssuers(registry)
    if (issuers.size === 0) throw new NotPrepared('the registry lists no issuer: no device could be admitted')
    return {
      issuers,
      verifyChain: createChainVerifier(issuers),
      context: readTlsContext(files, settings),
    }
  }
}
