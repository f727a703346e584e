// Finding the service that a command talks to: its address, an API token, the CA that vouches for it.
// Flags come first, then the environment, then the data directory. Refuses to send a token anywhere unverified.
import { existsSync, readFileSync, statSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { type Client, type Credential, createClient } from '../client/index.ts'
import { dataPaths, readEndpoints } from './data-directory.ts'
import { CommandFailed, fileFault, UsageError } from './errors.ts'
import { SERVICE_OPTIONS } from './options.ts'
import { outputOption } from './output/format.ts'
import { chosenProfile, type Profile } from './profiles.ts'
import { programName } from './program-name.ts'

export type ServiceFlags = {
  api?: string
  tokenFile?: string
  certificate?: string
  key?: string
  ca?: string
  data?: string
  profile?: string
}

/** Where a service is and what opens it. */
type ServiceAddress = { api: string; ca: string; notes: string[] } & (
  | { tokenFile: string }
  | { certificate: string; key: string }
)

const API_DEFAULT = 'https://127.0.0.1:8443'
const CREDENTIAL_BYTES_MAX = 64 * 1024

/** Adds the options of every command that talks to a service. One that has a `--key` of its own reads both meanings. */
export function withServiceOptions(command: Command, more: { keyElsewhere?: boolean } = {}): Command {
  const add = (flags: string, description: string) =>
    command.addOption(new Option(flags, description).helpGroup(SERVICE_OPTIONS))
  add('--api <url>', 'address of the service (ROLLCALL_API)')
  add('--token-file <file>', 'file with the API token (ROLLCALL_TOKEN_FILE)')
  add('--certificate <file>', 'certificate of an operator, in place of a token (ROLLCALL_CERTIFICATE)')
  if (!more.keyElsewhere) add('--key <file>', 'its private key (ROLLCALL_KEY)')
  add('--ca <file>', 'CA certificate of the service (ROLLCALL_CA)')
  add('--data <dir>', 'data directory of a service on this machine: names address, token and CA')
  add('--profile <name>', 'of `rollcall login`: names address, token and CA (ROLLCALL_PROFILE)')
  return command.addOption(outputOption())
}

/** Each of the three from the first place that names it. @throws UsageError naming what is missing. */
export function findService(
  flags: ServiceFlags,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): ServiceAddress {
  const notes: string[] = []
  const profile =
    flags.data === undefined || flags.profile !== undefined ? chosenProfile(flags.profile, environment) : null
  const local = flags.data === undefined ? null : dataPaths(flags.data)
  const find = (flag: keyof ServiceFlags, variable: string, fromData: (() => string) | null) => {
    const given = flags[flag]
    if (given !== undefined) return given
    const kept = profile?.[flag as keyof Profile]
    if (flags.profile !== undefined && kept !== undefined) return kept
    const set = environment[variable]
    if (!set) return fromData?.() ?? kept
    if (fromData)
      notes.push(`note: ${variable} is set and comes before --data; unset it to use the directory`)
    return set
  }
  const api = find(
    'api',
    'ROLLCALL_API',
    local && (() => readEndpoints(flags.data ?? '')?.api ?? API_DEFAULT),
  )
  const identity = identityOf(flags, environment, profile)
  const tokenFile = identity
    ? undefined
    : find('tokenFile', 'ROLLCALL_TOKEN_FILE', local && (() => local.token))
  const ca = find('ca', 'ROLLCALL_CA', local && (() => local.ca))
  if (api === undefined || ca === undefined || (identity === null && tokenFile === undefined)) {
    const missing = [
      api === undefined ? '--api URL (or ROLLCALL_API)' : null,
      identity === null && tokenFile === undefined ? '--token-file FILE (or ROLLCALL_TOKEN_FILE)' : null,
      ca === undefined ? '--ca FILE (or ROLLCALL_CA)' : null,
    ]
    throw new UsageError(
      `it is not known where the service is: missing ${missing.filter(Boolean).join(', ')}`,
      `on the machine of the service, --data DIR is enough; ${programName()} login keeps it for other commands`,
    )
  }
  return { api, ca, notes, ...(identity ?? { tokenFile: tokenFile! }) }
}

/** Runs a verb with a client of the service, and lets go of it afterwards. */
export async function withService<Result>(
  flags: ServiceFlags,
  verb: (client: Client) => Promise<Result>,
  timeoutMs?: number,
): Promise<Result> {
  const address = findService(flags)
  for (const note of address.notes) process.stderr.write(`${note}\n`)
  const client = createClient({
    api: checkedUrl(address.api),
    ...credentialOf(address, flags),
    ca: readCredential('the CA certificate cannot be read', address.ca, flags),
    ...(timeoutMs !== undefined && { timeoutMs }),
  })
  try {
    return await verb(client)
  } finally {
    client.close()
  }
}

/** A certificate comes before a token found elsewhere; both on one command line make no sense. */
function identityOf(
  flags: ServiceFlags,
  environment: Readonly<Record<string, string | undefined>>,
  profile: Profile | null,
): { certificate: string; key: string } | null {
  // A token named on the command line comes before a certificate in the environment.
  const set = flags.tokenFile === undefined ? environment : {}
  const certificate = flags.certificate ?? set['ROLLCALL_CERTIFICATE']
  const key = flags.key ?? set['ROLLCALL_KEY']
  if (!certificate && !key) {
    const isElsewhere = flags.tokenFile !== undefined || Boolean(environment['ROLLCALL_TOKEN_FILE'])
    if (isElsewhere || profile?.certificate === undefined || profile.key === undefined) return null
    return { certificate: profile.certificate, key: profile.key }
  }
  if (!certificate || !key) throw new UsageError('--certificate and --key go together', 'name both files')
  if (flags.tokenFile === undefined) return { certificate, key }
  throw new UsageError('--token-file and --certificate exclude each other', 'call with one of them')
}

function credentialOf(address: ServiceAddress, flags: ServiceFlags): Credential {
  if ('tokenFile' in address) return { token: readToken(address.tokenFile, flags) }
  return {
    identity: {
      certificate: readCredential('the certificate cannot be read', address.certificate, flags),
      key: readCredential('the key cannot be read', address.key, flags),
    },
  }
}

/** Throws where an address is no https URL. */
export function checkedUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url?.protocol === 'https:') return url
  throw new UsageError(`${text} is no https URL`, 'name the service as https://HOST:PORT')
}

function readToken(file: string, flags: ServiceFlags): string {
  const token = readCredential('the API token cannot be read', file, flags).trim()
  if (/^[\x21-\x7e]{1,512}$/.test(token)) return token
  throw new CommandFailed(
    `${file} holds no API token`,
    'the file must hold the token and nothing else, on one line',
  )
}

function readCredential(doing: string, file: string, flags: ServiceFlags): string {
  try {
    if (statSync(file).size > CREDENTIAL_BYTES_MAX) throw new Error('it is too long to be one')
    return readFileSync(file, 'utf8')
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    if (
      missing &&
      flags.data !== undefined &&
      file === dataPaths(flags.data).token &&
      existsSync(dataPaths(flags.data).registry)
    ) {
      throw new CommandFailed(
        `${doing}: ${file} does not exist`,
        `name another with --token-file, or make one here: ${programName()} api-token create NAME --role admin --local --data ${flags.data} --out FILE`,
        { cause: error },
      )
    }
    if (missing && flags.data !== undefined) {
      throw new CommandFailed(
        `${doing}: ${file} does not exist`,
        `check --data, or start the service first: ${programName()} up --data ${flags.data}`,
        { cause: error },
      )
    }
    throw fileFault(doing, file, error)
  }
}
