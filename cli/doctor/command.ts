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
import { asked, type Finding, type Patient, type Verdict } from './finding.ts'
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
import { holdersOf } from './running-services.ts'

export function doctorCommand(): Command {
  return withUpOptions(new Command('doctor'))
    .description(
      'Looks at machine, data directory, keys, registry, settings and ports, and says what to do. Changes nothing.\n' +
        'Exit 1 where something fails. Give the flags that you start up with.',
    )
    .addOption(outputOption())
    .action(async (flags: UpFlags & { output: Format }, command: Command) => {
      const findings = await examine(patientOf(flags), flagsOf(command))
      if (flags.output === 'table') process.stdout.write(inWords(findings))
      else await printDocument({ verdict: worst(findings), findings }, flags.output)
      if (worst(findings) === 'fail') process.exitCode = exitCodes.failed
    })
}

function patientOf(flags: UpFlags): Patient {
  const { data, host, mqttsPort: mqtts, apiPort: api, statusPort: status, adminPort: admin } = flags
  const ports = { mqtts, api, status, admin }
  return { data, host, ports, env: process.env, now: Date.now(), running: holdersOf(data) }
}

/** Every check, each for itself. Those on files are left out where there is no directory. */
export async function examine(patient: Patient, flags: readonly GivenFlag[]): Promise<Finding[]> {
  const presence = await asked('directory', () => checkPresence(patient))
  const isThere = presence.every(({ found, verdict }) => verdict !== 'fail' && !/does not exist/.test(found))
  const onFiles: [string, () => Finding[]][] = [
    ['file system', () => checkFileSystem(patient)],
    ['room', () => checkRoom(patient)],
    ['sync', () => checkSync(patient)],
    ['modes', () => checkModes(patient)],
    ['owner', () => checkOwner(patient)],
    ['registry', () => checkRegistry(patient)],
    ['pinned', () => checkPinned(patient)],
    ['conformance', () => checkConformance(patient)],
    ['CA', () => checkCa(patient)],
    ['server certificate', () => checkServerCertificate(patient)],
    ['audit key', () => checkAuditKey(patient)],
    ['audit log', () => checkAuditLog(patient)],
    ['running', () => checkRunning(patient)],
  ]
  const checks: [string, () => Finding[] | Promise<Finding[]>][] = [
    ['versions', () => checkVersions()],
    ['clock', () => checkClock(patient)],
    ['settings', () => checkSettings(patient, flags)],
    ['descriptors', () => checkDescriptors(patient)],
    ['gates', () => checkGates(patient)],
    ...(isThere ? onFiles : []),
    ['ports', () => checkPorts(patient)],
  ]
  const findings = [...presence]
  for (const [name, check] of checks) findings.push(...(await asked(name, check)))
  return findings
}

export function worst(findings: readonly Finding[]): Verdict {
  const verdicts = findings.map(({ verdict }) => verdict)
  return verdicts.includes('fail') ? 'fail' : verdicts.includes('warn') ? 'warn' : 'ok'
}

const marks = {
  ok: styleText('green', '✓'),
  warn: styleText('yellow', '!'),
  fail: styleText('red', '✗'),
} as const

function inWords(findings: readonly Finding[]): string {
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
