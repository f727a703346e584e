// Renewing the certificate of this device, so that it can be stopped anywhere: the new key is on disk before it is asked
// for, the new certificate is tried before it takes the place of the old, and the old pair stays beside it as `.old`.
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { copyFile, readFile, rename, rm } from 'node:fs/promises'
import { createSelfClient, type SelfClient } from '../../client/self.ts'
import { CommandFailed, fileFault } from '../errors.ts'
import { writeNew, writeWhole } from './enrollment.ts'
import { keyTypeOf, makeKey, makeRequest } from './key-pair.ts'

export type RenewalFiles = { certificate: string; key: string; ca: string }
type RenewalOutcome =
  | { renewed: true; deviceId: string; fingerprint: string; notAfter: string }
  | { renewed: false; deviceId: string; fingerprint: string; opensAt: string }
  | { renewed: false; deviceId: string; fingerprint: string; status: 'pending' }

/** Renews where it is time, or asks at once for a compromised key, which an operator approves. What an earlier run left unfinished is finished first. */
export async function renewOnce(
  api: URL,
  files: RenewalFiles,
  options: { compromise: boolean },
): Promise<RenewalOutcome> {
  await finish(files)
  const ca = await read(files.ca)
  const current = { certificate: await read(files.certificate), key: await read(files.key) }
  assertPair(current, files)
  const connect = (pair: typeof current) => createSelfClient({ api, ca, ...pair })
  const self = await withClient(connect(current), client => client.show())
  const { deviceId } = self
  if (!self.renewal.open && !options.compromise) {
    const { fingerprint } = self.certificate
    return { renewed: false, deviceId, fingerprint, opensAt: self.renewal.opensAt }
  }
  const next = { certificate: `${files.certificate}.new`, key: `${files.key}.new` }
  const keyType = keyTypeOf(current.key) ?? 'p256'
  const kept = await readFile(next.key, 'utf8').catch(() => null)
  const key = kept ?? (await makeKey(keyType))
  if (kept === null) await writeNew(next.key, key, 0o600)
  const csr = await makeRequest(deviceId, key, keyTypeOf(key) ?? keyType)
  const issued = await withClient(connect(current), client =>
    client.renew({ csr, ...(options.compromise ? { reason: 'keyCompromise' as const } : {}) }),
  )
  if (!('certificate' in issued)) {
    return { renewed: false, deviceId, fingerprint: issued.fingerprint, status: issued.status }
  }
  const certificate = [issued.certificate, ...issued.chain].map(pem => `${pem.trim()}\n`).join('')
  // The service must admit it before the old one is put aside.
  await withClient(connect({ certificate, key }), client => client.show())
  await writeWhole(next.certificate, certificate, 0o644)
  await finish(files)
  return { renewed: true, deviceId, fingerprint: issued.fingerprint, notAfter: issued.notAfter }
}

/**
 * Puts a new pair in its place. A new certificate lies beside the old only once it was tried; two files cannot be
 * renamed at once, so a run that was stopped between them is recognized by what fits what.
 */
async function finish(files: RenewalFiles): Promise<void> {
  const next = { certificate: `${files.certificate}.new`, key: `${files.key}.new` }
  const certificate = await readFile(next.certificate, 'utf8').catch(() => null)
  if (certificate === null) return
  const fits = async (file: string) => {
    const key = await readFile(file, 'utf8').catch(() => null)
    return key !== null && isPair({ certificate, key })
  }
  if (await fits(next.key)) {
    await copyFile(files.key, `${files.key}.old`)
    await copyFile(files.certificate, `${files.certificate}.old`)
    await rename(next.key, files.key)
  } else if (!(await fits(files.key))) {
    // It fits no key that is here: nothing can be done with it.
    await rm(next.certificate)
    return
  }
  await rename(next.certificate, files.certificate)
}

function isPair({ certificate, key }: { certificate: string; key: string }): boolean {
  try {
    return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key))
  } catch {
    return false
  }
}

function assertPair(pair: { certificate: string; key: string }, files: RenewalFiles): void {
  if (isPair(pair)) return
  throw new CommandFailed(
    `${files.certificate} and ${files.key} are no certificate and its key`,
    'name the files of one enrollment with --cert and --key',
  )
}

async function withClient<Result>(client: SelfClient, verb: (client: SelfClient) => Promise<Result>) {
  try {
    return await verb(client)
  } finally {
    client.close()
  }
}

async function read(file: string): Promise<string> {
  return readFile(file, 'utf8').catch(error => {
    throw fileFault('the file cannot be read', file, error)
  })
}
