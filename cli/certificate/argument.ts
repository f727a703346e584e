// What a person means by an argument: a fingerprint however it is written, a file with a certificate, or a device.
// Nothing but the certificate ever leaves a file that was named: a key beside it stays where it is.
import { createHash, X509Certificate } from 'node:crypto'
import { open, stat } from 'node:fs/promises'
import { Argument } from 'commander'
import { certificateBlocks } from '../../pki/pem.ts'
import { CommandFailed, fileFault, UsageError } from '../errors.ts'
import { programName } from '../program-name.ts'

type Subject =
  | { kind: 'fingerprint'; fingerprint: string }
  /** `besides` says what else the file holds, and that it was left alone. */
  | { kind: 'certificate'; pem: string; fingerprint: string; besides: string[] }
  | { kind: 'device'; deviceId: string }

const CERTIFICATE_BYTES_MAX = 64 * 1024

/** A fingerprint (colons and capitals as OpenSSL writes them are fine), a certificate file (PEM or DER), or a device. */
export async function subjectOf(named: string): Promise<Subject> {
  const fingerprint = asFingerprint(named)
  if (fingerprint !== null) return { kind: 'fingerprint', fingerprint }
  const found = await stat(named).catch(() => null)
  if (found?.isFile()) return readCertificate(named)
  if (named.includes('/')) {
    throw new CommandFailed(
      found ? `${named} is no file` : `there is no file ${named}`,
      'name a certificate file, a fingerprint or a device ID',
    )
  }
  return { kind: 'device', deviceId: named }
}

/** The fingerprint that an argument gives or whose certificate it names. */
export async function fingerprintOf(named: string): Promise<string> {
  const subject = await subjectOf(named)
  if (subject.kind !== 'device') return subject.fingerprint
  throw new UsageError(
    `${named} is neither a fingerprint nor a certificate file`,
    `a fingerprint is 64 hex digits; find it: ${programName()} certificate list --device ${named}`,
  )
}

/** The argument of commands about one issuer. */
export function issuerArgument(): Argument {
  return new Argument('<id>', 'ID of the issuer: the fingerprint of its certificate, or a file with it')
}

/** The certificate of a file, as PEM. */
export async function readCertificateFile(file: string): Promise<string> {
  const subject = await readCertificate(file)
  return subject.pem
}

function asFingerprint(text: string): string | null {
  const hex = text.replaceAll(':', '').toLowerCase()
  return /^[0-9a-f]{64}$/.test(hex) ? hex : null
}

async function readCertificate(file: string): Promise<Subject & { kind: 'certificate' }> {
  const content = await beginningOf(file)
  if (content.length > CERTIFICATE_BYTES_MAX) {
    throw new CommandFailed(
      `${file} is too long to be a certificate`,
      'name a file with one certificate in PEM or DER',
    )
  }
  const text = content.toString('latin1')
  const holdsKey = /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)
  try {
    const blocks = certificateBlocks(text)
    const certificate = new X509Certificate(blocks[0] ?? derIn(content))
    const fingerprint = createHash('sha256').update(certificate.raw).digest('hex')
    const besides = [
      ...(blocks.length > 1
        ? [`${file} holds ${blocks.length} certificates: the first counts, which is what a device presents`]
        : []),
      ...(holdsKey
        ? [`${file} holds a private key too: it was not sent, and belongs in a file of its own`]
        : []),
    ]
    return { kind: 'certificate', pem: certificate.toString(), fingerprint, besides }
  } catch (error) {
    throw new CommandFailed(
      `${file} holds no certificate${holdsKey ? ', but a private key' : ''}`,
      'name a file with one certificate in PEM or DER',
      { cause: error },
    )
  }
}

/** PEM is read as the service reads it, by nobody else. */
function derIn(content: Buffer): Buffer {
  if (content.includes('-----BEGIN')) throw new Error('it holds no whole block BEGIN CERTIFICATE')
  return content
}

/** As much as a certificate can be long, and a byte more: a file may be longer than it says. */
async function beginningOf(file: string): Promise<Buffer> {
  try {
    await using handle = await open(file)
    const buffer = Buffer.alloc(CERTIFICATE_BYTES_MAX + 1)
    let filled = 0
    for (;;) {
      const { bytesRead } = await handle.read(buffer, filled, buffer.length - filled)
      filled += bytesRead
      if (bytesRead === 0 || filled === buffer.length) return buffer.subarray(0, filled)
    }
  } catch (error) {
    throw fileFault('the certificate cannot be read', file, error)
  }
}
