// `rollcall doctor`: looks at everything that a service needs and says of each thing whether it is well, and what to do where
// it is not. Works beside a running service and without one. Refuses to change anything.
import { styleText } from 'node:util'
import { Command } from 'commander'
import { flagsOf } from '../config/command.ts'
import type { GivenFlag } from '../config/settings.ts'
import { exitCodes, printable } from '../errors.ts'
import { type Format, outputOption, printDocument } from '../output/format.ts'
import { type UpFlags, withUpOptions } from '../service/up.ts'
import { checkFileSystem, checkModes, checkOwner, checkPresence, checkRoom, checkSync } from './directory.ts'
import { asked, type CheckContext, type Finding, type Verdict } from './finding.ts'
import { checkAuditKey, checkCa, checkServerCertificate } from './keys.ts'
import { checkClock, checkDescriptors, checkGates, checkVersions } from './machine.ts'
import { checkPorts } from './ports.ts'
import {
  checkAuditLog,
  checkConformance,
  checkPinned,
  checkRegistry,
  checkRunning,
  checkSettings,
} from './registry.ts'
import { lockOwners } from './running-services.ts'

export function doctorCommand(): Command {
  return withUpOptions(new Command('doctor'))
    .description(
      'Looks at machine, data directory, keys, registry, settings and ports, and says what to do. Changes nothing.\n' +
        'Exit 1 where something fails. Give the flags that you start up with.',
    )
    .addOption(outputOption())
    .action(async (flags: UpFlags & { output: Format }, command: Command) => {
      const findings = await runChecks(contextOf(flags), flagsOf(command))
      if (flags.output === 'table') process.stdout.write(formatFindings(findings))
      else await printDocument({ verdict: worstVerdict(findings), findings }, flags.output)
      if (worstVerdict(findings) === 'fail') process.exitCode = exitCodes.failed
    })
}

function contextOf(flags: UpFlags): CheckContext {
  const { data, host, mqttsPort: mqtts, apiPort: api, statusPort: status, adminPort: admin } = flags
  const ports = { mqtts, api, status, admin }
  return { data, host, ports, env: process.env, now: Date.now(), running: lockOwners(data) }
}

/** Every check, each for itself. Those on files are left out where there is no directory. */
export async function runChecks(context: CheckContext, flags: readonly GivenFlag[]): Promise<Finding[]> {
  const presence = await asked('directory', () => checkPresence(context))
  const isThere = presence.every(({ found, verdict }) => verdict !== 'fail' && !/does not exist/.test(found))
  const onFiles: [string, () => Finding[]][] = [
    ['file system', () => checkFileSystem(context)],
    ['room', () => checkRoom(context)],
    ['sync', () => checkSync(context)],
    ['modes', () => checkModes(context)],
    ['owner', () => checkOwner(context)],
    ['registry', () => checkRegistry(context)],
    ['pinned', () => checkPinned(context)],
    ['conformance', () => checkConformance(context)],
    ['CA', () => checkCa(context)],
    ['server certificate', () => checkServerCertificate(context)],
    ['audit key', () => checkAuditKey(context)],
    ['audit log', () => checkAuditLog(context)],
    ['running', () => checkRunning(context)],
  ]
  const checks: [string, () => Finding[] | Promise<Finding[]>][] = [
    ['versions', () => checkVersions()],
    ['clock', () => checkClock(context)],
    ['settings', () => checkSettings(context, flags)],
    ['descriptors', () => checkDescriptors(context)],
    ['gates', () => checkGates(context)],
    ...(isThere ? onFiles : []),
    ['ports', () => checkPorts(context)],
  ]
  const findings = [...presence]
  for (const [name, check] of checks) findings.push(...(await asked(name, check)))
  return findings
}

export function worstVerdict(findings: readonly Finding[]): Verdict {
  const verdicts = findings.map(({ verdict }) => verdict)
  return verdicts.includes('fail') ? 'fail' : verdicts.includes('warn') ? 'warn' : 'ok'
}

const marks = {
  ok: styleText('green', '✓'),
  warn: styleText('yellow', '!'),
  fail: styleText('red', '✗'),
} as const

function formatFindings(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ check }) => check.length))
  return findings
    .flatMap(({ check, verdict, found, todo }) => [
      `${marks[verdict]} ${check.padEnd(width)}  ${oneLine(found)}`,
      ...(todo === null ? [] : [`  ${' '.repeat(width)}  → ${oneLine(todo)}`]),
    ])
    .map(line => `${line}\n`)
    .join('')
}

function oneLine(text: string): string {
  return printable(text.replaceAll(/\s*\n\s*/g, ' '))
}
