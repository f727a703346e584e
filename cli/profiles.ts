// Profiles: where a service is and what opens it, by name, so that no command needs to be told each time. Holds paths of files, no
// token and no key.
import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { CommandFailed, fileFault, UsageError } from './errors.ts'

export type Profile = { api: string; ca: string; tokenFile?: string; certificate?: string; key?: string }
export const DEFAULT_PROFILE = 'default'

type Environment = Readonly<Record<string, string | undefined>>

function profilesFile(environment: Environment = process.env): string {
  return join(environment['XDG_CONFIG_HOME'] || join(homedir(), '.config'), 'rollcall', 'profiles.json')
}

/** Null where there is none of this name. @throws CommandFailed where the file cannot be read as one of profiles */
function readProfile(name: string, environment: Environment = process.env): Profile | null {
  const all = readProfiles(profilesFile(environment))
  return Object.hasOwn(all, name) ? all[name]! : null
}

/** The one that was asked for; the default where none was, if there is one. */
export function chosenProfile(named: string | undefined, environment: Environment): Profile | null {
  const name = named ?? environment['ROLLCALL_PROFILE']
  if (!name) return readProfile(DEFAULT_PROFILE, environment)
  const profile = readProfile(name, environment)
  if (profile !== null) return profile
  const known = Object.keys(readProfiles(profilesFile(environment)))
  throw new UsageError(
    `there is no profile ${name}`,
    known.length === 0 ? 'make one with rollcall login' : `there are ${known.join(', ')}`,
  )
}

/** Whole or not at all, 0600. */
export function writeProfile(name: string, profile: Profile, environment: Environment = process.env): string {
  const file = profilesFile(environment)
  const all = { ...readProfiles(file), [name]: profile }
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
    writeFileSync(`${file}.new`, `${JSON.stringify(all, null, 2)}\n`, { mode: 0o600 })
    chmodSync(`${file}.new`, 0o600)
    renameSync(`${file}.new`, file)
  } catch (error) {
    throw fileFault('the profile cannot be written', file, error)
  }
  return file
}

function readProfiles(file: string): Record<string, Profile> {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {}
    throw fileFault('the profiles cannot be read', file, error)
  }
  try {
    const all = JSON.parse(text) as Record<string, Profile>
    const isProfile = (one: unknown) =>
      typeof (one as Profile)?.api === 'string' && typeof (one as Profile)?.ca === 'string'
    if (Object.values(all).every(isProfile)) return all
  } catch {}
  throw new CommandFailed(
    `${file} holds no profiles`,
    'move it out of the way, and call rollcall login again',
  )
}
