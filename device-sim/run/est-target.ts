// An EST server that is not ours, as flags or a scenario name it: where it is, and what devices prove themselves with.
// Does not know what is enrolled.
import { createPrivateKey } from 'node:crypto'
import type { EstServer } from '../enrollment/est.ts'
import { RunFailed } from '../failure.ts'
import { readText, readUrl } from '../target.ts'

export type EstTarget = Omit<EstServer, 'ca'>

type Named = { url: string | undefined; users: string | undefined; bootstrap: string | undefined }

/** Null where none is named, and where something is wrong with it, which is then among the problems. */
export function readEst({ url, users, bootstrap }: Named, problems: string[]): EstTarget | null {
  if (url === undefined) {
    if (users ?? bootstrap) problems.push('which EST server? Give --est https://HOST:PORT')
    return null
  }
  const at = readUrl('--est', url, ['https:'], problems)
  if ((users === undefined) === (bootstrap === undefined)) {
    problems.push('--est needs --est-users FILE or --est-bootstrap FILE, one of them')
    return null
  }
  const proof = users === undefined ? readBootstrap(bootstrap ?? '', problems) : readUsers(users, problems)
  if (!at || !proof) return null
  const path = at.pathname === '/' ? '/.well-known/est' : at.pathname.replace(/\/$/, '')
  return { url: `${at.origin}${path}`, proof }
}

/** `USER:PASSWORD`: one line for all devices, or one for each with its device ID as user. */
function readUsers(file: string, problems: string[]): EstTarget['proof'] | null {
  const lines = readText('--est-users', file, problems).split('\n').filter(Boolean)
  const users = new Map<string, string>()
  for (const [index, line] of lines.entries()) {
    const colon = line.indexOf(':')
    if (colon > 0) users.set(line.slice(0, colon), line.slice(colon + 1).trimEnd())
    else problems.push(`--est-users: ${file}:${index + 1}: expected USER:PASSWORD`)
  }
  if (users.size === 0) return null
  const [all] = users
  return {
    by: 'password',
    of(deviceId) {
      const password = users.get(deviceId)
      if (password !== undefined) return { user: deviceId, password }
      if (users.size > 1 || !all) throw new RunFailed(`${file} has no line for ${deviceId}`)
      return { user: all[0], password: all[1] }
    },
  }
}

/** A key and its certificates, PEM, in one file. */
function readBootstrap(file: string, problems: string[]): EstTarget['proof'] | null {
  const text = readText('--est-bootstrap', file, problems)
  if (text === '') return null
  const key = /-----BEGIN (?:EC |RSA )?PRIVATE KEY-----[^-]+-----END (?:EC |RSA )?PRIVATE KEY-----/.exec(
    text,
  )?.[0]
  const certificates = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)
  try {
    if (!key || !certificates) throw new Error('no key or no certificate')
    createPrivateKey(key)
    return { by: 'certificate', key, certificates: `${certificates.join('\n')}\n` }
  } catch {
    problems.push(`--est-bootstrap: ${file} holds no private key with its certificate`)
    return null
  }
}
