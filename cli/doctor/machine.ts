// The machine: versions, clock, descriptors, cores.
import { readFileSync, statSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { readBrokerSettings } from '../../broker/settings/sources.ts'
import { canInspect, inspectRegistry } from '../../db/registry-inspection.ts'
import manifest from '../../package.json' with { type: 'json' }
import { type CheckContext, type Finding, fail, inDays, ok, warn } from './finding.ts'

/** Descriptors besides those of connections: files, the registry, gates. */
const DESCRIPTORS_BESIDE = 200
const SKEW_MS = 5 * 60_000

export function checkVersions(versions = process.versions): Finding[] {
  const { node = '', openssl = '' } = versions
  const needed = manifest.engines.node.replace(/[^\d.]/g, '')
  const found = `Rollcall ${manifest.version}, Node ${node}, OpenSSL ${openssl}`
  if (isOlder(node, needed)) {
    return [fail('versions', found, `install Node ${needed} or later; npm ci brings one along`)]
  }
  return [ok('versions', found)]
}

function isOlder(version: string, than: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [neededMajor = 0, neededMinor = 0] = than.split('.').map(Number)
  return major < neededMajor || (major === neededMajor && minor < neededMinor)
}

/** There is no other clock to ask here: but what was written before cannot be later than now. */
export function checkClock({ data, now }: CheckContext): Finding[] {
  const shown = new Date(now).toISOString()
  const written = [...timesOf(data)].filter(({ at }) => at > now + SKEW_MS)
  const latest = written.sort((one, other) => other.at - one.at)[0]
  if (latest !== undefined) {
    const found = `${shown}, but ${latest.what} is from ${new Date(latest.at).toISOString()}, ${inDays(latest.at - now)} later`
    return [fail('clock', found, 'set the clock: validity, deadlines and the audit log follow it; run NTP')]
  }
  const synchronized = isThere('/run/systemd/timesync/synchronized') ? ', kept by systemd-timesyncd' : ''
  return [ok('clock', `${shown}, later than all that was written${synchronized}`)]
}

function* timesOf(data: string): Generator<{ what: string; at: number }> {
  for (const name of ['registry.db', 'sessions.db', 'server.crt', 'endpoints.json', 'ca.crt']) {
    const stat = statSync(join(data, name), { throwIfNoEntry: false })
    if (stat !== undefined) yield { what: name, at: stat.mtimeMs }
  }
  const at = lastChangeAt(join(data, 'registry.db'))
  if (at !== null) yield { what: 'the last row of the audit log', at }
}

function lastChangeAt(registry: string): number | null {
  try {
    return isThere(registry) && canInspect(registry) ? inspectRegistry(registry).lastChangeAt : null
  } catch {
    return null
  }
}

function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined
}

/** Of the broker where one runs, else of this process, which a service's differs from. */
export function checkDescriptors({ data, env, running }: CheckContext): Finding[] {
  const broker = running.find(({ job }) => job === 'broker')
  const limit = hardLimit(broker?.pid ?? 'self')
  const wanted = readBrokerSettings(data, env).connectionsMax + DESCRIPTORS_BESIDE
  const subject = broker?.pid ? 'the broker may open' : 'this user may open'
  if (limit === null) return [ok('descriptors', 'this system does not say how many there may be')]
  if (limit >= wanted) return [ok('descriptors', `${subject} ${limit}`)]
  return [
    warn(
      'descriptors',
      `${subject} ${limit}, connectionsMax wants ${wanted}`,
      'raise the hard limit (LimitNOFILE= of the unit, ulimit -Hn), or lower connectionsMax: newcomers are refused without',
    ),
  ]
}

function hardLimit(pid: number | 'self'): number | null {
  try {
    const line = /^Max open files\s+\S+\s+(\S+)/m.exec(readFileSync(`/proc/${pid}/limits`, 'utf8'))?.[1]
    return line === undefined ? null : line === 'unlimited' ? Number.POSITIVE_INFINITY : Number(line)
  } catch {
    return null
  }
}

export function checkGates({ data, env }: CheckContext, cores = availableParallelism()): Finding[] {
  const { gates } = readBrokerSettings(data, env)
  const found = `${gates} gates on ${cores} cores`
  if (gates >= Math.max(cores, 2)) {
    return [warn('gates', found, `one core is the engine's: --gates auto takes ${Math.max(1, cores - 1)}`)]
  }
  const more = gates === 0 && cores > 2 ? '; --gates auto takes TLS to the others' : ''
  return [ok('gates', `${found}${more}`)]
}
