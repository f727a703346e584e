// The key and certificate by which an agent and its coordinator know each other: made once, kept in a file of mode 0600, and
// trusted by fingerprint alone. Does not know its readers.
import { createHash, type X509Certificate } from 'node:crypto'
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { type Identity, identityFrom } from '../enrollment/identity.ts'
import { selfSigned } from '../enrollment/self-signed.ts'
import { BadUsage } from '../failure.ts'

export const IDENTITY_FILE = 'rollcall-sim-agent.pem'

const YEARS_MS = 10 * 365 * 86_400_000

/** @throws BadUsage where the file cannot be read, holds no identity, or others may read it. */
export function readAgentIdentity(file: string): Identity {
  let text: string
  try {
    const { mode } = statSync(file)
    if ((mode & 0o077) !== 0)
      throw new BadUsage([`${file}: others may read this key; chmod 600 it, or make a new one`])
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof BadUsage) throw error
    const { code } = error as NodeJS.ErrnoException
    throw new BadUsage([`${file}: cannot be read (${code}); make it with: rollcall-sim agent --init`])
  }
  const [key = ''] = /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----/.exec(text) ?? []
  const certificates = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)
  if (key === '' || !certificates) throw new BadUsage([`${file}: expected a key and a certificate`])
  return identityFrom('', key, certificates)
}

/** A new identity, in a file that must not be there yet. @throws BadUsage where it cannot be written. */
export async function makeAgentIdentity(file: string): Promise<Identity> {
  const made = await selfSigned('rollcall-sim agent', YEARS_MS)
  try {
    writeFileSync(file, made.key + made.certificates, { mode: 0o600, flag: 'wx' })
    chmodSync(file, 0o600)
  } catch (error) {
    throw new BadUsage([`${file}: cannot be written (${(error as NodeJS.ErrnoException).code})`])
  }
  return made
}

export function fingerprintOf(certificate: X509Certificate | undefined): string | null {
  return certificate ? createHash('sha256').update(certificate.raw).digest('hex') : null
}
