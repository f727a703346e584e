// `rollcall policy …`: what devices may publish and subscribe. Trying a change first is in simulate.ts.
import { Command, Option } from 'commander'
import { ApiProblem, type Client } from '../../client/index.ts'
import type { Policy, PolicyAttachment, PolicyDocument, PolicySummary } from '../../client/policy-types.ts'
import { futileTopics } from '../../policy/futile-topics.ts'
import { CommandFailed, printable, UsageError } from '../errors.ts'
import { wholeNumber } from '../options.ts'
import { atMost, type Column, type Format, printDocument, printPages } from '../output/format.ts'
import { printReceipt } from '../output/receipt.ts'
import { programName } from '../program-name.ts'
import { type ServiceFlags, withService, withServiceOptions } from '../service-connection.ts'
import { readPolicyFile, statementLines } from './policy-file.ts'
import { diffCommand, simulateCommand } from './simulate.ts'

type Flags = ServiceFlags & { output: Format }
type TargetFlags = Flags & { everyone?: boolean; device?: string; group?: string; issuer?: string }

const columns: readonly Column<PolicySummary>[] = [
  { heading: 'NAME', cell: policy => policy.name },
  { heading: 'STATEMENTS', cell: policy => policy.statementsTotal },
  { heading: 'ATTACHED TO', cell: attachedTo },
  { heading: 'UPDATED', cell: policy => policy.updatedAt },
]

export function policyCommand(): Command {
  const policy = new Command('policy').description('Topic policies: what devices may publish and subscribe.')
  for (const verb of [listCommand(), showCommand(), applyCommand(), deleteCommand()]) policy.addCommand(verb)
  policy.addCommand(moveCommand('attach'))
  policy.addCommand(moveCommand('detach'))
  policy.addCommand(simulateCommand())
  policy.addCommand(diffCommand())
  return policy
}

function listCommand(): Command {
  return withServiceOptions(new Command('list'))
    .summary('list policies')
    .option('--limit <n>', 'at most so many', wholeNumber(1, 10_000_000))
    .action(async ({ limit, ...flags }: Flags & { limit?: number }) => {
      await withService(flags, client =>
        printPages(
          atMost(client.policies.pages({ limit: Math.min(limit ?? 500, 500) }), limit),
          columns,
          flags.output,
        ),
      )
    })
}

function showCommand(): Command {
  return withServiceOptions(new Command('show'))
    .summary('show a policy, or with --device what binds a device')
    .argument('[name]', 'name of the policy')
    .option('--device <id>', 'every statement that holds for this device, variables filled in')
    .option('--document', 'the document alone, as apply takes it')
    .action(async (name: string | undefined, flags: Flags & { device?: string; document?: boolean }) => {
      if ((name === undefined) === (flags.device === undefined))
        throw new UsageError('either a policy or --device ID must be named')
      if (flags.device !== undefined) return showDevice(flags.device, flags)
      const policy = await withService(flags, client => client.policies.show(name ?? ''))
      if (flags.document) {
        await printDocument(policy.document, flags.output === 'table' ? 'yaml' : flags.output)
      } else if (flags.output === 'table') {
        const { document, attachments: _, attachmentsTotal: __, ...facts } = policy
        await printDocument({ ...facts, attachedTo: attachedTo(policy) }, 'table')
        for (const [at, line] of statementLines(document).entries())
          process.stdout.write(`${at < document.statements.length ? `[${at}] ` : ''}${printable(line)}\n`)
      } else await printDocument(policy, flags.output)
    })
}

async function showDevice(deviceId: string, flags: Flags): Promise<void> {
  const effective = await withService(flags, client => client.policies.effective(deviceId))
  if (flags.output !== 'table') return printDocument(effective, flags.output)
  for (const { policy, statement, effect, actions, qosMax, topics } of effective.statements) {
    const qos = effect === 'allow' && qosMax < 2 ? `  qosMax ${qosMax}` : ''
    const shown = topics.map(({ written, bound, missing }) =>
      bound === null ? `(${written} has no value for ${missing.join(', ')})` : bound,
    )
    process.stdout.write(
      `${printable(`${policy}[${statement}]  ${effect}  ${actions.join(',')}  ${shown.join(' ')}${qos}`)}\n`,
    )
  }
  const { sessionExpiryMaxSeconds } = effective.limits
  if (sessionExpiryMaxSeconds !== null)
    process.stdout.write(`its session outlives its connection by ${sessionExpiryMaxSeconds} s at most\n`)
  if (effective.statements.length === 0) process.stderr.write('no policy holds for it: it may do nothing\n')
  if (effective.refused !== null)
    process.stderr.write(
      `it is refused: ${effective.refused.policy}[${effective.refused.statement}] denies with a variable that has no value\n`,
    )
}

function applyCommand(): Command {
  return withServiceOptions(new Command('apply'))
    .summary('store the policy of a file; the same file again changes nothing')
    .argument('<file>', 'document (YAML or JSON), - for stdin')
    .action(async (file: string, flags: Flags) => {
      const document = await readPolicyFile(file)
      const { before, receipt } = await withService(flags, client => apply(client, document))
      await printDocument(receipt, flags.output)
      const done =
        before === null ? 'is stored' : before.version === receipt.version ? 'is as it was' : 'is replaced'
      printReceipt(`policy ${receipt.name} ${done}`, receipt)
      for (const { path, message } of futileTopics(document))
        process.stderr.write(`warning: ${printable(`${path}: ${message}`)}\n`)
      if (before === null)
        process.stderr.write(
          `it holds for no device yet: ${programName()} policy attach ${receipt.name} --everyone, --device, --group or --issuer\n`,
        )
    })
}

/** Replaces only the version that it read: of two changes at the same time one is refused, and none is lost. */
async function apply(client: Client, document: PolicyDocument) {
  const before = await client.policies.show(document.name).catch((error: unknown) => {
    // A name that cannot be one is told by the service when it judges the document.
    if (error instanceof ApiProblem && (error.status === 404 || error.status === 400)) return null
    throw error
  })
  return { before, receipt: await client.policies.put(document, before?.version) }
}

function deleteCommand(): Command {
  return withServiceOptions(new Command('delete'))
    .summary('delete a policy that nothing holds')
    .argument('<name>', 'name of the policy')
    .action(async (name: string, flags: Flags) => {
      const receipt = await withService(flags, client => client.policies.delete(name))
      await printDocument(receipt, flags.output)
      printReceipt(`policy ${printable(name)} is deleted`, receipt)
    })
}

function moveCommand(verb: 'attach' | 'detach'): Command {
  const words = verb === 'attach' ? 'let a policy hold for' : 'let a policy no longer hold for'
  return withServiceOptions(new Command(verb))
    .summary(`${words} everyone, a device, a group or an issuer`)
    .argument('<name>', 'name of the policy')
    .option('--everyone', 'every device')
    .option('--device <id>', 'one device')
    .option('--group <name>', 'the devices of a group')
    .addOption(new Option('--issuer <fingerprint>', 'the devices whose certificate this issuer signed'))
    .action(async (name: string, flags: TargetFlags) => {
      const target = targetOf(flags)
      const receipt = await withService(flags, client => client.policies[verb](name, target)).catch(
        (error: unknown) => {
          throw explained(error, name)
        },
      )
      await printDocument(receipt, flags.output)
      const where = printable(`${target.kind} ${target.target}`.trim())
      printReceipt(
        `policy ${printable(name)} is ${verb}ed ${verb === 'attach' ? 'to' : 'from'} ${where}`,
        receipt,
      )
    })
}

function targetOf({ everyone, device, group, issuer }: TargetFlags): PolicyAttachment {
  const given: PolicyAttachment[] = []
  if (everyone) given.push({ kind: 'everyone', target: '' })
  if (device !== undefined) given.push({ kind: 'device', target: device })
  if (group !== undefined) given.push({ kind: 'group', target: group })
  if (issuer !== undefined) given.push({ kind: 'issuer', target: issuer.replaceAll(':', '').toLowerCase() })
  const [target, ...more] = given
  if (target !== undefined && more.length === 0) return target
  throw new UsageError('exactly one of --everyone, --device, --group and --issuer must be given')
}

function explained(error: unknown, name: string): unknown {
  if (!(error instanceof ApiProblem) || error.reason !== 'policy_unknown') return error
  return new CommandFailed(
    `there is no policy ${printable(name)}`,
    `store it first: ${programName()} policy apply FILE`,
    { cause: error },
  )
}

function attachedTo({
  attachments,
  attachmentsTotal,
}: Pick<Policy, 'attachments' | 'attachmentsTotal'>): string {
  const shown = attachments.slice(0, 3).map(({ kind, target }) => `${kind} ${target}`.trim())
  const more = attachmentsTotal - shown.length
  return [...shown, ...(more > 0 ? [`${more} more`] : [])].join(', ')
}
