// `sim clean` as a function: takes off the roll what earlier runs enrolled with a directory of keys, and deletes the keys.
// Touches nothing that the directory does not name. Never throws for what a user can cause.
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { CommandContext, ExitCode } from './command-context.ts'
import { type Api, createApi } from './enrollment/api.ts'
import { refusal } from './enrollment/refusal.ts'
import { BadUsage, RunFailed } from './failure.ts'
import { findRunTarget, type RunFlags } from './run/target.ts'
import { guarded } from './scenario-run.ts'
import { forEachBounded } from './schedule.ts'

export type CleanFlags = RunFlags & { decommission?: boolean; output?: string }

const AT_ONCE = 8
const DEVICES_PATTERN = /^([A-Za-z0-9._-]{1,128})\.pem$/

type Cleaned = { devices: number; revoked: number; decommissioned: number; failed: number }

export async function runClean(flags: CleanFlags, context: CommandContext): Promise<ExitCode> {
  return guarded(context, async () => {
    const { env, stdout, stderr, signal } = context
    const target = findRunTarget({ target: {} }, flags, env, null)
    if (!target.api) throw new BadUsage(['whose roll? Give --data DIR, or --api URL with --token-file FILE'])
    const devices = devicesIn(target.keysDir, target.api.url)
    const api = createApi({ ...target.api, ca: target.broker.ca, connectionsMax: AT_ONCE, signal })
    const cleaned: Cleaned = { devices: devices.length, revoked: 0, decommissioned: 0, failed: 0 }
    try {
      await forEachBounded(devices, AT_ONCE, async device => {
        try {
          // Others add while this one waits: the sums are read after the answers.
          const revoked = await revokeAll(api, device)
          const ended = flags.decommission ? await decommission(api, device) : 0
          cleaned.revoked += revoked
          cleaned.decommissioned += ended
          rmSync(join(target.keysDir, 'devices', `${device}.pem`), { force: true })
        } catch (error) {
          cleaned.failed++
          if (cleaned.failed <= 3) stderr.write(`error: ${device}: ${(error as Error).message}\n`)
        }
      })
    } finally {
      api.close()
    }
    const { revoked, decommissioned, failed } = cleaned
    const ended = flags.decommission ? `, ${decommissioned} devices decommissioned` : ''
    stdout.write(
      flags.output === 'json'
        ? `${JSON.stringify(cleaned)}\n`
        : `${devices.length} devices: ${revoked} certificates revoked${ended}, ${failed} failed\n`,
    )
    return failed > 0 ? 1 : 0
  })
}

/** @throws RunFailed where the directory is not the simulator's, or belongs to another service. */
function devicesIn(directory: string, api: string): string[] {
  let manifest: { kind?: unknown; api?: unknown }
  try {
    manifest = JSON.parse(readFileSync(join(directory, 'manifest.json'), 'utf8'))
  } catch {
    throw new RunFailed(`${directory} holds no keys of the simulator`, { hint: 'name them with --keys DIR' })
  }
  if (manifest.kind !== 'rollcall-simulator-keys')
    throw new RunFailed(`${directory} was not made by the simulator`)
  // Ports of a service on this machine may change from start to start.
  const host = (url: string): string => (URL.canParse(url) ? new URL(url).hostname : url)
  if (host(String(manifest.api)) !== host(api))
    throw new RunFailed(`${directory} belongs to ${manifest.api}, not to ${api}`)
  return readdirSync(join(directory, 'devices')).flatMap(name => DEVICES_PATTERN.exec(name)?.[1] ?? [])
}

type Listed = { items?: { fingerprint: string; status: string }[] }

async function revokeAll(api: Api, device: string): Promise<number> {
  const query = `deviceId=${encodeURIComponent(device)}&limit=100`
  const listed = await api.call<Listed>('GET', `/v1/certificates?${query}`)
  if (listed.problem) throw refusal('list certificates', listed.status, listed.problem)
  let revoked = 0
  for (const { fingerprint, status } of listed.body.items ?? []) {
    if (!['pending', 'issued', 'active', 'superseded', 'suspended'].includes(status)) continue
    const answer = await api.call('POST', `/v1/certificates/${fingerprint}/revoke`, {
      reason: 'cessationOfOperation',
    })
    if (answer.problem) throw refusal('revoke', answer.status, answer.problem)
    revoked++
  }
  return revoked
}

async function decommission(api: Api, device: string): Promise<number> {
  const answer = await api.call('POST', `/v1/devices/${encodeURIComponent(device)}/decommission`)
  if (answer.problem && answer.status !== 404) throw refusal('decommission', answer.status, answer.problem)
  return answer.problem ? 0 : 1
}
