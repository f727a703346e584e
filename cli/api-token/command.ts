// `rollcall api-token …`: API tokens with their role, their devices and their end.
import { Argument, Command, Option } from 'commander'
import type { ApiToken, Client, NewApiToken } from '../../client/index.ts'
import { CommandFailed, printable, UsageError } from '../errors.ts'
import { wholeNumber } from '../options.ts'
import { type Column, type Format, printDocument, printPages } from '../output/format.ts'
import { writeSecret } from '../output/secret-file.ts'
import { type ServiceFlags, withService, withServiceOptions } from '../service-connection.ts'
import { printClaimsLeft } from './claims-left.ts'
import { makeLocalToken } from './local-token.ts'

type Flags = ServiceFlags & { output: Format }
type CreateFlags = Flags & Pick<NewApiToken, 'role' | 'group' | 'days'> & { out?: string; local?: true }

const columns: readonly Column<ApiToken>[] = [
  { heading: 'ID', cell: token => token.id },
  { heading: 'NAME', cell: token => token.name },
  { heading: 'ROLE', cell: token => token.role },
  { heading: 'GROUP', cell: token => token.group },
  { heading: 'STATE', cell: token => token.state },
  { heading: 'EXPIRES', cell: token => token.expiresAt },
  { heading: 'LAST USED', cell: token => token.lastUsedAt },
  { heading: 'FROM', cell: token => token.lastUsedAddress },
]

const roles = ['viewer', 'enroller', 'operator', 'admin'] as const

export function apiTokenCommand(): Command {
  const token = new Command('api-token').description('API tokens: shown once, kept hashed.')
  token.addCommand(createCommand())
  token.addCommand(listCommand())
  token.addCommand(revokeCommand())
  return token
}

/** What tokens and operators' certificates are given alike. */
export function withGrantOptions(command: Command): Command {
  return command
    .addOption(new Option('--role <role>', 'what it may').choices(roles).makeOptionMandatory())
    .option('--group <name>', 'only for devices of this group')
    .option('--days <n>', 'days until it ends (default: 90)', wholeNumber(1, 366))
}

function createCommand(): Command {
  return withGrantOptions(withServiceOptions(new Command('create')))
    .summary('make an API token and show it once')
    .description(
      'Makes an API token. It is on stdout, here and never again, or with --out in a new file (0600) as --token-file takes it.\n' +
        'With --local it is written into the registry of --data itself, without the service and without a token:\n' +
        'an account that may write that file has all rights already. Use it if the last admin token was lost.',
    )
    .addArgument(new Argument('<name>', 'the name of the caller in the audit log'))
    .option('--out <file>', 'write the token there instead of on stdout')
    .option('--local', 'write into the registry of --data, without the service')
    .action(async (name: string, flags: CreateFlags) => {
      const { role, group, days, out, local, output } = flags
      const wanted = { name, role, ...(group ? { group } : {}), ...(days ? { days } : {}) }
      const created = local
        ? await makeLocalToken(dataOf(flags), wanted)
        : await withService(flags, client => client.apiTokens.create(wanted))
      const { token, ...facts } = created
      if (out === undefined) {
        await printDocument({ ...facts, token }, output)
        process.stderr.write('the token is shown here and never again\n')
        return
      }
      await writeSecret(out, `${token}\n`)
      await printDocument({ ...facts, file: out }, output)
    })
}

function listCommand(): Command {
  return withServiceOptions(new Command('list'))
    .summary('list API tokens, without the tokens')
    .action(async (flags: Flags) => {
      await withService(flags, client => printPages(client.apiTokens.pages(), columns, flags.output))
    })
}

function revokeCommand(): Command {
  return withServiceOptions(new Command('revoke'))
    .summary('accept a token no more, for good')
    .addArgument(new Argument('<token>', 'its ID or name'))
    .action(async (named: string, flags: Flags) => {
      await withService(flags, async client => {
        const revoked = await client.apiTokens.revoke(await idOf(client, named))
        await printDocument(revoked, flags.output)
        process.stderr.write(`API token ${printable(revoked.name)} is revoked\n`)
        await printClaimsLeft(client, revoked.name)
      })
    })
}

async function idOf(client: Client, named: string): Promise<string> {
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(named)) return named
  for await (const page of client.apiTokens.pages()) {
    const found = page.find(token => token.name === named && token.state === 'accepted')
    if (found) return found.id
  }
  throw new CommandFailed(
    `no API token of the name ${printable(named)} is accepted`,
    'rollcall api-token list shows all',
  )
}

function dataOf({ data }: Flags): string {
  if (data !== undefined) return data
  throw new UsageError('--local writes into a data directory, and none is named', 'add --data DIR')
}
