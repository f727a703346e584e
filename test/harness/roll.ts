// A data directory with everything a broker needs, made without provisioning: registry, issuers, policies,
// server certificate. Tests put devices on the roll, or beside it, as they like.
import { X509Certificate } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  closeRegistry,
  createRegistryWriter,
  openForWriting,
  type Registry,
  type RegistryWriter,
} from '../../db/index.ts'
import { type Authority, createAuthority, type Identity, type LeafOptions, usage } from './authority.ts'

export type Roll = {
  data: string
  root: Authority
  issuing: Authority
  issuerId: string
  rootId: string
  registry: Registry
  writer: RegistryWriter
  /** Registers a device and lists a certificate for it. */
  enroll(
    id: string,
    options?: Partial<LeafOptions> & { groups?: string[] },
  ): Promise<Identity & { fingerprint: string }>
  /** Lists a certificate of any making for a registered or new device, as it is. */
  list(
    id: string,
    identity: Identity,
    as?: { trust?: 'chained' | 'pinned'; issuerId?: string | null },
  ): Promise<string>
  close(): Promise<void>
}

export const tester = { name: 'test', kind: 'local' } as const

export const defaultPolicy = {
  name: 'default',
  statements: [
    {
      effect: 'allow',
      actions: ['publish', 'retain', 'will', 'subscribe', 'receive'],
      topics: [`devices/\${device.id}/#`],
    },
  ],
}

export const backendPolicy = {
  name: 'backend',
  statements: [
    {
      effect: 'allow',
      actions: ['publish', 'retain', 'will', 'subscribe', 'receive'],
      topics: ['devices/#'],
    },
  ],
}

export async function createRoll(): Promise<Roll> {
  const data = mkdtempSync(join(tmpdir(), 'rollcall-'))
  mkdirSync(join(data, 'keys'), { mode: 0o700 })
  const root = await createAuthority()
  const issuing = await root.subordinate('Test Issuing CA')
  const server = await issuing.issue({ name: 'localhost', usages: [usage.serverAuth] })
  writeFileSync(join(data, 'ca.crt'), root.certificate)
  writeFileSync(join(data, 'server.crt'), `${server.certificate}\n${issuing.certificate}\n`)
  writeFileSync(join(data, 'keys', 'server.key'), server.key, { mode: 0o600 })

  const registry = openForWriting(join(data, 'registry.db'))
  const writer = createRegistryWriter(registry)
  const rootId = await writer.addIssuer({ der: root.der, name: 'root', kind: 'root', parentId: null }, tester)
  const issuer = { der: issuing.der, name: 'issuing', kind: 'issuing', parentId: rootId } as const
  const issuerId = await writer.addIssuer(issuer, tester)
  await writer.putPolicy('default', defaultPolicy, tester)
  await writer.attachPolicy('default', 'everyone', '', tester)
  await writer.putPolicy('backend', backendPolicy, tester)
  await writer.attachPolicy('backend', 'group', 'backend', tester)

  async function list(id: string, identity: Identity, as: Parameters<Roll['list']>[2] = {}): Promise<string> {
    const known = registry.sqlite.prepare('SELECT 1 FROM devices WHERE id = ?').get(id)
    if (known === undefined) await writer.addDevice({ id, attributes: {}, groups: [] }, tester)
    const listing = {
      der: new X509Certificate(identity.der).raw,
      deviceId: id,
      issuerId: as.issuerId === undefined ? issuerId : as.issuerId,
      trust: as.trust ?? 'chained',
      status: 'issued',
      action: 'certificate.register',
    } as const
    return writer.listCertificate(listing, tester)
  }

  return {
    data,
    root,
    issuing,
    issuerId,
    rootId,
    registry,
    writer,
    async enroll(id, options = {}) {
      const { groups = [], ...leaf } = options
      await writer.addDevice({ id, attributes: {}, groups }, tester)
      const identity = await issuing.issue({ name: id, ...leaf })
      return { ...identity, fingerprint: await list(id, identity) }
    },
    list,
    async close() {
      await closeRegistry(registry)
      rmSync(data, { recursive: true, force: true })
    },
  }
}
