// Identities from files of the user: ID.pem with key and chain, or ID.key beside ID.crt.
// Reads only. Does not know where they come from.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Identity, identityFrom } from '../enrollment/identity.ts'
import { RunFailed } from '../failure.ts'

/** At most `count` identities of the directory, by name. @throws RunFailed where there are fewer or one is unreadable. */
export function readIdentities(directory: string, count: number, from = 0): Identity[] {
  const names = namesIn(directory)
  if (names.length < from + count) {
    throw new RunFailed(`${directory} holds ${names.length} identities, ${from + count} are needed`, {
      hint: 'put ID.pem (key and certificates), or ID.key and ID.crt there for each device',
    })
  }
  return names.slice(from, from + count).map(({ id, files }) => {
    try {
      return parseIdentity(id, files.map(file => readFileSync(join(directory, file), 'utf8')).join('\n'))
    } catch (error) {
      throw new RunFailed(`cannot use the identity ${id} in ${directory}: ${(error as Error).message}`, {
        cause: error,
      })
    }
  })
}

function namesIn(directory: string): { id: string; files: string[] }[] {
  let files: Set<string>
  try {
    files = new Set(readdirSync(directory))
  } catch (error) {
    throw new RunFailed(`cannot read ${directory} (${(error as NodeJS.ErrnoException).code})`, {
      cause: error,
    })
  }
  return [...files]
    .toSorted()
    .flatMap(file => {
      const [, id = '', kind] = /^(.+)\.(pem|key)$/.exec(file) ?? []
      if (kind === 'pem') return [{ id, files: [file] }]
      return kind === 'key' && files.has(`${id}.crt`) ? [{ id, files: [file, `${id}.crt`] }] : []
    })
    .filter(({ id }) => !['ca', 'server', 'root'].includes(id))
}

/** Key and certificates, both PEM. @throws where one is missing or unreadable. */
export function parseIdentity(id: string, text: string): Identity {
  const key = /-----BEGIN (?:EC |RSA )?PRIVATE KEY-----[^-]+-----END (?:EC |RSA )?PRIVATE KEY-----/.exec(
    text,
  )?.[0]
  const certificates = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)
  if (!key || !certificates) throw new Error('it needs a private key and a certificate, both PEM')
  return identityFrom(id, key, certificates)
}
