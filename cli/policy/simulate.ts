// `rollcall policy simulate|diff`: what a change would do, before it does it. Changes nothing.
import { existsSync } from 'node:fs'
import { styleText } from 'node:util'
import { Command, Option } from 'commander'
import { ApiProblem, type Client } from '../../client/index.ts'
import type {
  HeldLimits,
  PolicyAction,
  PolicyDecision,
  PolicyDocument,
  PolicyLimitsCompared,
  PolicyQuestion,
  PolicySimulation,
  PolicyTrial,
} from '../../client/policy-types.ts'
import { printable, UsageError } from '../errors.ts'
import { collect, wholeNumber } from '../options.ts'
import { type Column, type Format, onePage, printDocument, printPages } from '../output/format.ts'
import { type ServiceFlags, withService, withServiceOptions } from '../service-connection.ts'
import { difference, readPolicyFile, statementLines } from './policy-file.ts'

type Flags = ServiceFlags & { output: Format }
type SimulateFlags = Flags & {
  device?: string
  fleet?: boolean
  qos: number
  retain?: boolean
  limit: number
} & {
  [action in (typeof asked)[number]]?: string[]
}

const asked = ['publish', 'subscribe', 'receive', 'will'] as const

const columns: readonly Column<PolicySimulation['results'][number]>[] = [
  {
    heading: 'ACTION',
    cell: ({ action, qos, retain }) =>
      [action, qos && `qos${qos}`, retain && 'retained'].filter(Boolean).join(' '),
  },
  { heading: 'TOPIC', cell: result => result.topic },
  { heading: 'NOW', cell: result => said(result.now) },
  { heading: 'THEN', cell: result => said(result.draft) },
  {
    heading: 'DECIDED BY',
    cell: ({ draft: { decidedBy } }) =>
      decidedBy && `${decidedBy.policy}[${decidedBy.statement}] ${decidedBy.topic}`,
  },
]

const fleetColumns: readonly Column<PolicyTrial['items'][number]>[] = [
  { heading: 'DEVICE', cell: item => item.deviceId },
  { heading: 'LOSES', cell: item => item.lost.map(inShort).join(', ') },
  { heading: 'GAINS', cell: item => item.gained.map(inShort).join(', ') },
  { heading: 'LIMITS', cell: item => item.limits && limitsInShort(item.limits) },
  { heading: 'SUBSCRIPTIONS DROPPED', cell: item => item.subscriptionsLost.join(', ') },
]

export function simulateCommand(): Command {
  const command = withServiceOptions(new Command('simulate'))
    .summary('try a policy on a device or on the fleet before it is saved')
    .description(
      'Tries a policy, from a file or as it is stored, before it holds.\n' +
        'With --device: what each topic named would be, now and then, and which statement decides.\n' +
        'With --fleet: what each device would lose or gain, and which live subscriptions would be dropped.',
    )
    .argument('<policy>', 'file with a document (YAML or JSON), - for stdin, or the name of a stored policy')
    .addOption(new Option('--device <id>', 'the device to try it on').conflicts('limit'))
    .addOption(new Option('--fleet', 'try it on every device').conflicts([...asked, 'qos', 'retain']))
  for (const action of asked) command.option(`--${action} <topic>`, `ask for this (repeatable)`, collect)
  return command
    .option('--qos <n>', 'QoS of what is published', wholeNumber(0, 2), 0)
    .option('--retain', 'what is published is retained')
    .addOption(
      new Option('--limit <n>', 'list at most so many devices').argParser(wholeNumber(1, 1_000)).default(100),
    )
    .action(async (named: string, flags: SimulateFlags) => {
      if ((flags.device === undefined) === (flags.fleet === undefined))
        throw new UsageError('either --device ID or --fleet must be given')
      await withService(flags, client =>
        flags.fleet ? simulateFleet(client, named, flags) : simulateDevice(client, named, flags),
      )
    })
}

/** The draft of a file, or the name of what is stored. */
async function policyNamed(named: string): Promise<{ name: string; document?: PolicyDocument }> {
  if (named !== '-' && !existsSync(named) && /^[A-Za-z0-9._-]{1,64}$/.test(named)) return { name: named }
  const document = await readPolicyFile(named)
  return { name: document.name, document }
}

async function simulateDevice(client: Client, named: string, flags: SimulateFlags): Promise<void> {
  const qos = flags.qos as 0 | 1 | 2
  const checks = asked.flatMap(action =>
    (flags[action] ?? []).map((topic): PolicyQuestion => {
      const sends = action === 'publish' || action === 'will'
      return {
        action: action as PolicyAction,
        topic,
        ...(sends ? { qos, retain: flags.retain ?? false } : {}),
      }
    }),
  )
  if (checks.length === 0)
    throw new UsageError('nothing is asked', 'name topics: --publish, --subscribe, --receive or --will')
  const { name, ...draft } = await policyNamed(named)
  const simulation = await client.policies.simulate(name, { deviceId: flags.device ?? '', checks, ...draft })
  if (flags.output !== 'table' && flags.output !== 'jsonl') await printDocument(simulation, flags.output)
  else await printPages(onePage(simulation.results), columns, flags.output)
  const { now, draft: then } = simulation.limits
  if (now.qosMax !== then.qosMax || now.sessionExpiryMaxSeconds !== then.sessionExpiryMaxSeconds)
    say(
      `QoS at most ${now.qosMax} now, ${then.qosMax} then; session expiry at most ${expiry(now)} now, ${expiry(then)} then`,
    )
  if (!simulation.holds)
    say(`${name} does not hold for ${printable(simulation.deviceId)} today; it was tried as if it did`)
}

async function simulateFleet(client: Client, named: string, flags: SimulateFlags): Promise<void> {
  const { name, ...draft } = await policyNamed(named)
  if (draft.document === undefined)
    throw new UsageError('a stored policy changes nothing', 'name a file with the draft')
  const trial = await client.policies.simulateFleet(name, { ...draft, limit: flags.limit })
  if (flags.output !== 'table' && flags.output !== 'jsonl') await printDocument(trial, flags.output)
  else await printPages(onePage(trial.items), fleetColumns, flags.output)
  say(
    `of ${count(trial.devicesTotal, 'device')} ${trial.devicesLosing} would lose and ${trial.devicesGaining} gain something; ` +
      `${trial.subscriptionsLost} of ${count(trial.subscriptionsNoted, 'live subscription')} noted by ` +
      `${count(trial.nodesTotal, 'broker')} would be dropped`,
  )
  if (trial.items.some(item => !item.complete))
    say('of some devices not all filters are listed: an answer names 10,000')
  if (trial.truncated) say(`more devices lose something than are listed: raise --limit`)
}

export function diffCommand(): Command {
  return withServiceOptions(new Command('diff'))
    .summary('show what applying a file would change')
    .description(
      'Shows, statement by statement, what applying a file would change. Exit 0 whether or not anything would.',
    )
    .argument('<file>', 'document (YAML or JSON), - for stdin')
    .action(async (file: string, flags: Flags) => {
      const document = await readPolicyFile(file)
      const stored = await withService(flags, async client => {
        // The service judges the document, so that a diff never shows what could not be applied.
        await client.policies.simulateFleet(document.name, { document, limit: 1 })
        return client.policies.show(document.name).catch((error: unknown) => {
          if (error instanceof ApiProblem && error.status === 404) return null
          throw error
        })
      })
      const lines = difference(stored ? statementLines(stored.document) : [], statementLines(document))
      const changes = lines.filter(({ mark }) => mark !== ' ').length
      if (flags.output === 'table') {
        const shown = changes === 0 ? [] : lines
        for (const { mark, text } of shown)
          process.stdout.write(`${coloured(mark, `${mark} ${printable(text)}`)}\n`)
      } else {
        const facts = {
          name: document.name,
          stored: stored !== null,
          changed: changes > 0 || stored === null,
        }
        await printDocument({ ...facts, version: stored?.version ?? null, lines }, flags.output)
      }
      if (stored === null) say(`${document.name} is new`)
      else if (changes === 0) say(`${document.name} is as it is stored`)
    })
}

function coloured(mark: string, line: string): string {
  if (mark === ' ') return line
  return styleText(mark === '+' ? 'green' : 'red', line)
}

function said({ allowed, verdict }: PolicyDecision): string {
  return allowed ? 'yes' : `no (${verdict})`
}

function inShort({ action, filter, extent }: PolicyTrial['items'][number]['lost'][number]): string {
  return `${action} ${filter}${extent === 'part' ? ' (in part)' : ''}`
}

/** Those that change. */
function limitsInShort({ now, draft }: PolicyLimitsCompared): string {
  const changed = [
    now.qosMax !== draft.qosMax && `QoS ${now.qosMax} → ${draft.qosMax}`,
    expiry(now) !== expiry(draft) && `session expiry ${expiry(now)} → ${expiry(draft)}`,
  ]
  return changed.filter(Boolean).join(', ')
}

function expiry({ sessionExpiryMaxSeconds: seconds }: HeldLimits): string {
  return seconds === null ? 'unlimited' : `${seconds} s`
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`
}

function say(words: string): void {
  process.stderr.write(`${words}\n`)
}
