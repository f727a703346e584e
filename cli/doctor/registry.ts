// The record: whether registry and stored sessions are whole, and of which schema; the settings; what a dead process left.
import { existsSync } from 'node:fs'
import {
  canInspect,
  inspectAuditRow,
  inspectRegistry,
  lookAtNonconforming,
  lookAtPinned,
  type RegistryInspection,
} from '../../db/registry-inspection.ts'
import { readCheckpointFile } from '../../provisioning/audit/checkpoint-file.ts'
import { effectiveSettings, type GivenFlag } from '../config/settings.ts'
import { dataPaths } from '../data-directory.ts'
import { type CheckContext, type Finding, fail, ok, warn } from './finding.ts'

export function checkRegistry({ data }: CheckContext): Finding[] {
  const { registry } = dataPaths(data)
  if (!existsSync(registry)) return []
  if (!canInspect(registry)) {
    const found = 'not looked at: its log is not open, and opening it would write'
    return [warn('registry', found, 'start the service, which takes the log in, and ask again')]
  }
  let look: RegistryInspection
  try {
    look = inspectRegistry(registry)
  } catch (error) {
    return [
      fail(
        'registry',
        `it cannot be read: ${(error as Error).message}`,
        'restore a backup (rollcall restore)',
      ),
    ]
  }
  return [...registryFindings(look), ...keyFindings(look)]
}

const NAMED_MAX = 5

/** What older versions left admitted: they revoked one certificate where a key was compromised. */
function keyFindings({ compromised }: Pick<RegistryInspection, 'compromised'>): Finding[] {
  if (compromised.length === 0) return []
  const named = compromised.slice(0, NAMED_MAX).join(', ')
  const more = compromised.length > NAMED_MAX ? ` and ${compromised.length - NAMED_MAX} more` : ''
  return [
    warn(
      'compromised keys',
      `not revoked, although their key was revoked as compromised or obtained by such a key: ${named}${more}`,
      'revoke each (rollcall certificate revoke FINGERPRINT --reason keyCompromise), and enroll its device with a new key',
    ),
  ]
}

/** Whether the log still holds what the kept checkpoint covers; `rollcall audit verify` looks at every row. */
export function checkAuditLog({ data, env }: CheckContext): Finding[] {
  const { registry, auditCheckpoint } = dataPaths(data)
  const file = env['ROLLCALL_AUDIT_CHECKPOINT_FILE'] || auditCheckpoint
  if (!existsSync(registry) || !canInspect(registry)) return []
  const kept = readCheckpointFile(file)
  if (kept === 'missing' && inspectAuditRow(registry, 0).checkpoints === 0)
    return [ok('audit log', 'no checkpoint was signed yet')]
  if (typeof kept === 'string') {
    const todo =
      'a start makes it anew; where no upgrade or restore explains it, compare the log with an export'
    return [warn('audit log', `${file} is ${kept}: nothing outside the registry tells its length`, todo)]
  }
  const { lastSeq, hash } = inspectAuditRow(registry, kept.seq)
  if (hash === kept.hash) return [ok('audit log', `${lastSeq} rows, as long as ${file} says at least`)]
  const found =
    lastSeq < kept.seq
      ? `it ends at row ${lastSeq}, but ${file} covers row ${kept.seq}`
      : `row ${kept.seq} is not the one that ${file} covers`
  const todo =
    'find out what wrote registry.db; if it was restored: rollcall audit accept --data DIR --reason TEXT'
  return [fail('audit log', found, todo)]
}

const SHOWN_MAX = 5

/** What an older version pinned although the CA that signed it is on record. */
export function checkPinned({ data }: CheckContext): Finding[] {
  const { registry } = dataPaths(data)
  if (!existsSync(registry) || !canInspect(registry)) return []
  const { bound, loose } = lookAtPinned(registry)
  if (loose.length === 0) {
    return [
      ok('pinned', bound === 0 ? 'none under a CA on record' : `${bound} follow the CA that signed them`),
    ]
  }
  const shown = loose.slice(0, SHOWN_MAX).map(pin => `${pin.fingerprint} of ${pin.deviceId} (${pin.issuer})`)
  const found = `pinned under a trust anchor, without its CRL: ${loose.length}, such as ${shown.join(', ')}`
  const todo =
    'start this version: it binds each to the CA that signed it; two of one serial number stay, so revoke one of them'
  return [warn('pinned', found, todo)]
}

const NONCONFORMING_SHOWN_MAX = 1_000

/** Leaves on the roll that no longer hold, each by name: an older version let them in. */
export function checkConformance({ data }: CheckContext): Finding[] {
  const { registry } = dataPaths(data)
  if (!existsSync(registry) || !canInspect(registry)) return []
  const { total, graced, shown } = lookAtNonconforming(registry, NONCONFORMING_SHOWN_MAX)
  if (total === 0) return [ok('conformance', 'every certificate on the roll is as RFC 5280 has it')]
  const fate = graced > 0 ? `${graced} of them admitted until version 0.2.0` : 'refused'
  const list = shown.map(one => `${one.deviceId} ${one.fingerprint} (${one.defect})`).join(', ')
  const more = total > shown.length ? `, and ${total - shown.length} more` : ''
  const todo =
    'give each device another certificate (docs/reasons.md tells what is wrong), then set ROLLCALL_CERTIFICATE_GRACE=0'
  return [warn('conformance', `${total} depart from RFC 5280, ${fate}: ${list}${more}`, todo)]
}

export function registryFindings({ ours, schema, schemaKnown, findings }: RegistryInspection): Finding[] {
  if (!ours)
    return [fail('registry', 'registry.db is no registry of Rollcall', 'restore a backup, or check --data')]
  if (findings !== 'ok')
    return [
      fail('registry', `damaged: ${findings}`, 'stop the service and restore a backup (rollcall restore)'),
    ]
  if (schema > schemaKnown) {
    const found = `schema ${schema}, this version knows ${schemaKnown}`
    return [fail('registry', found, 'start the version that wrote it, or a newer one')]
  }
  if (schema < schemaKnown) {
    const found = `whole, schema ${schema}; this version makes ${schemaKnown} of it`
    return [warn('registry', found, 'back up before the next start: the former version cannot read it then')]
  }
  return [ok('registry', `whole, schema ${schema}`)]
}

export function checkSettings({ data, env }: CheckContext, flags: readonly GivenFlag[]): Finding[] {
  const { settings, problems } = effectiveSettings(data, flags, env)
  if (problems.length > 0) {
    return problems.map(problem => fail('settings', problem, 'rollcall config check judges them again'))
  }
  const changed = settings.filter(({ from }) => from !== 'default')
  const shown = changed.map(({ name }) => name).slice(0, 8)
  return [ok('settings', changed.length === 0 ? 'all as by default' : `set: ${shown.join(', ')}`)]
}

/** What a start would find; the locks themselves fall with their holders. */
export function checkRunning({ data, running }: CheckContext): Finding[] {
  const { endpoints } = dataPaths(data)
  if (running.length > 0) {
    const names = running.map(({ job, pid }) => (pid === null ? job : `${job} (process ${pid})`))
    return [ok('running', names.join(', '))]
  }
  if (existsSync(endpoints)) {
    const found = 'nothing runs, but endpoints.json names where it did: up was killed'
    return [warn('running', found, 'start it again; commands with --data find nobody until then')]
  }
  return [ok('running', 'nothing')]
}
