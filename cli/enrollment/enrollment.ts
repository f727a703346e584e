// Enrolling a device from here: a key that never leaves this machine, a request for it, and the files a client needs.
// The key is on disk before the request is sent, so that a lost answer costs nothing: the same command again sends the
// same key. `device.crt` comes last: a directory that has one is finished.
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { IssuedCertificate } from '../../client/types.ts'
import { CommandFailed, fileFault, UsageError } from '../errors.ts'
import { type KeyType, keyTypeOf, makeKey, makeRequest } from './key-pair.ts'

type EnrollmentFiles = { key: string; certificate: string; ca: string }
/** Has a PKCS #10 request (PEM) certified. */
export type Certify = (csr: string) => Promise<IssuedCertificate>
type Enrolled = { issued: IssuedCertificate; files: Partial<EnrollmentFiles>; keyReused: boolean }

const REQUEST_BYTES_MAX = 64 * 1024

/** Makes `device.key` (0600), `device.crt` (leaf, then chain) and `ca.crt` in a directory. */
export async function enrollInto(
  certify: Certify,
  deviceId: string,
  options: { directory: string; keyType: KeyType },
): Promise<Enrolled> {
  const files: EnrollmentFiles = {
    key: join(options.directory, 'device.key'),
    certificate: join(options.directory, 'device.crt'),
    ca: join(options.directory, 'ca.crt'),
  }
  if (await exists(files.certificate)) {
    throw new CommandFailed(
      `${options.directory} holds an enrolled device already (device.crt)`,
      'name another directory with --out, or move this one out of the way',
    )
  }
  await makeDirectory(options.directory)
  const { key, keyReused } = await keyAt(files.key, options.keyType)
  const csr = await makeRequest(deviceId, key, options.keyType)
  const issued = await certify(csr)
  if (issued.ca !== null) await writeWhole(files.ca, issued.ca, 0o644)
  await writeWhole(files.certificate, withChain(issued), 0o644)
  return {
    issued,
    files: issued.ca === null ? { key: files.key, certificate: files.certificate } : files,
    keyReused,
  }
}

/** Enrolls with a request made elsewhere, and writes leaf and chain to one new file. */
export async function enrollRequest(
  certify: Certify,
  options: { csrFile: string; certificateFile: string },
): Promise<Enrolled> {
  if (await exists(options.certificateFile)) {
    throw new CommandFailed(
      `${options.certificateFile} exists already`,
      'name another file with --out, or move this one out of the way',
    )
  }
  const csr = await readRequest(options.csrFile)
  await makeDirectory(dirname(options.certificateFile))
  const issued = await certify(csr)
  await writeWhole(options.certificateFile, withChain(issued), 0o644)
  return { issued, files: { certificate: options.certificateFile }, keyReused: false }
}

/** The key of an enrollment that did not finish, or a new one, safely on disk before anybody hears of it. */
async function keyAt(file: string, keyType: KeyType): Promise<{ key: string; keyReused: boolean }> {
  const kept = await readFile(file, 'utf8').catch(error => {
    if (error.code === 'ENOENT') return null
    throw fileFault('the key cannot be read', file, error)
  })
  if (kept === null) {
    const key = await makeKey(keyType)
    await writeNew(file, key, 0o600)
    return { key, keyReused: false }
  }
  const elsewhere = 'name another directory with --out; a key is never overwritten'
  let found: KeyType | null
  try {
    found = keyTypeOf(kept)
  } catch (error) {
    throw new CommandFailed(`${file} exists and is no private key`, elsewhere, { cause: error })
  }
  if (found !== keyType) {
    throw new CommandFailed(`${file} exists and is no ${keyType} key`, `give its --key-type, or ${elsewhere}`)
  }
  return { key: kept, keyReused: true }
}

async function readRequest(file: string): Promise<string> {
  try {
    if ((await stat(file)).size > REQUEST_BYTES_MAX) throw new Error('it is too long to be a request')
    const text = await readFile(file, 'utf8')
    // A private key named by mistake must not be sent anywhere.
    const request =
      /-----BEGIN (NEW )?CERTIFICATE REQUEST-----[^-]+-----END (NEW )?CERTIFICATE REQUEST-----/.exec(text)
    const begun = text.match(/-----BEGIN (NEW )?CERTIFICATE REQUEST-----/g)?.length ?? 0
    if (begun > 1) throw new Error(`it holds ${begun} requests, and one is meant`)
    if (request) return `${request[0]}\n`
  } catch (error) {
    throw fileFault('the certificate request cannot be read', file, error)
  }
  throw new UsageError(
    `${file} is no certificate request in PEM`,
    'make one: openssl req -new -key device.key -subj /CN=DEVICE-ID -out device.csr',
  )
}

function withChain({ certificate, chain }: IssuedCertificate): string {
  return [certificate, ...chain].map(pem => `${pem.trim()}\n`).join('')
}

export async function makeDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw fileFault('the directory cannot be made', directory, error)
  }
}

/** A file that was not there before, whole and on disk when this returns. */
export async function writeNew(file: string, text: string, mode: number): Promise<void> {
  try {
    const handle = await open(file, 'wx', mode)
    try {
      await handle.writeFile(text)
      await handle.sync()
    } catch (error) {
      await rm(file, { force: true })
      throw error
    } finally {
      await handle.close()
    }
  } catch (error) {
    throw fileFault('the key cannot be written', file, error)
  }
}

/** A file whole or not at all. */
export async function writeWhole(file: string, text: string, mode: number): Promise<void> {
  const unfinished = `${file}.new`
  try {
    await rm(unfinished, { force: true })
    await writeNew(unfinished, text, mode)
    await rename(unfinished, file)
  } catch (error) {
    if (error instanceof CommandFailed) throw fileFault('the file cannot be written', file, error.cause)
    throw fileFault('the file cannot be written', file, error)
  }
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  )
}
