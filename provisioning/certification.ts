// The CA of a running service: the bootstrap, the CA that issues, and the certificate of the server itself.
import type { Issuer } from '../db/issuers/issuer-store.ts'
import { readRotations } from '../db/issuers/rotation-store.ts'
import { bootstrap } from './bootstrap.ts'
import type { CaKeys } from './ca/ca-keys.ts'
import { type CaManager, createCaManager } from './ca/ca-manager.ts'
import { createServerCertificate, serverNames } from './ca/server-certificate.ts'
import { type ServerIdentityManager, startServerIdentity } from './ca/server-identity.ts'
import type { ProvisioningConfig } from './config.ts'
import type { DataDirectory } from './data-directory.ts'
import type { Log } from './logging/log.ts'
import type { AwaitReceipt } from './receipt.ts'
import { pointersTo } from './revocation/index.ts'
import type { Storage } from './storage.ts'

type Certification = {
  manager: CaManager
  serverIdentity: ServerIdentityManager
  /** What this start made, in words for the log. */
  made: string[]
}

export async function startCertification(parts: {
  config: ProvisioningConfig
  directory: DataDirectory
  storage: Storage
  keys: CaKeys
  statusUrl: string
  receipt: AwaitReceipt
  log: Log
}): Promise<Certification> {
  const { config, directory, keys, statusUrl, receipt, log } = parts
  const { reading, writer, issuers } = parts.storage
  const { keyTypes, now } = config
  const rotations = readRotations(reading)
  const { root, issuing, made } = await bootstrap({
    ...{ directory, writer, keys, keyTypes, rotations, now },
    shared: parts.storage.shared !== null,
    issuers: issuers(),
  })
  const manager = createCaManager({
    ...{ directory, keys, root, issuers, writer, now },
    readRotations: () => readRotations(reading),
    keyType: keyTypes.issuing,
    current: issuing,
    pointers: issuerId => pointersTo(statusUrl, issuerId),
    acknowledged: receipt,
    onKeyMissing: log.caKeyMissing,
    onActiveKey: log.activeCaKey,
  })
  const serverCertificate = createServerCertificate({
    ...{ directory, writer, now },
    ca: manager.current,
    sans: serverNames(config.host, config.sans),
    onNotRenewed: log.serverCertificateFailed,
  })
  const serverIdentity = await startServerIdentity(serverCertificate, log)
  if (serverIdentity.isNew) made.push('server certificate')
  return { manager, serverIdentity, made }
}

/**
 * Whether certificates can be issued now, as far as the CA goes. One that an operator disabled is no outage, unless another one issues whose
 * key is missing here.
 */
export function canIssue(
  manager: Pick<CaManager, 'current' | 'isKeyMissing'>,
  issuers: () => Map<string, Issuer>,
  now: () => number,
): boolean {
  const { id, notAfter } = manager.current()
  return notAfter > now() && !(manager.isKeyMissing() && issuers().get(id)?.enabled === false)
}
