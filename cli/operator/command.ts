// `rollcall operator …`: certificates by which people and machines operate, in place of tokens.
import { Argument, Command } from 'commander'
import type { Client, NewOperator, Operator } from '../../client/index.ts'
import { printClaimsLeft } from '../api-token/claims-left.ts'
import { withGrantOptions } from '../api-token/command.ts'
import { fingerprintOf, readCertificateFile } from '../certificate/argument.ts'
import { printable } from '../errors.ts'
import { type Column, type Format, printDocument, printPages } from '../output/format.ts'
import { type ServiceFlags, withService, withServiceOptions } from '../service-connection.ts'

type Flags = ServiceFlags & { output: Format }

const columns: readonly Column<Operator>[] = [
  { heading: 'FINGERPRINT', cell: operator => operator.fingerprint },
  { heading: 'NAME', cell: operator => operator.name },
  { heading: 'ROLE', cell: operator => operator.role },
  { heading: 'GROUP', cell: operator => operator.group },
  { heading: 'STATE', cell: operator => operator.state },
  { heading: 'EXPIRES', cell: operator => operator.expiresAt },
  { heading: 'LAST USED', cell: operator => operator.lastUsedAt },
  { heading: 'FROM', cell: operator => operator.lastUsedAddress },
]

export function operatorCommand(): Command {
  const operator = new Command('operator').description(
    "Operators known by a certificate, which is never a device's.",
  )
  operator.addCommand(addCommand())
  operator.addCommand(listCommand())
  operator.addCommand(revokeCommand())
  return operator
}

function addCommand(): Command {
  return withGrantOptions(withServiceOptions(new Command('add')))
    .summary('accept the certificate of an operator')
    .description(
      'Registers a certificate of another CA, or a self-signed one; only the certificate is read from FILE.\n' +
        'The holder of its key then calls with --certificate and --key. It ends with --days, and never after the certificate.',
    )
    .addArgument(new Argument('<name>', 'the name of the operator in the audit log'))
    .addArgument(new Argument('<file>', 'certificate (PEM or DER)'))
    .action(async (name: string, file: string, flags: Flags & Omit<NewOperator, 'name' | 'certificate'>) => {
      const { role, group, days } = flags
      const certificate = await readCertificateFile(file)
      const wanted = { name, role, certificate, ...(group ? { group } : {}), ...(days ? { days } : {}) }
      const added = await withService(flags, client => client.operators.add(wanted))
      await printDocument(added, flags.output)
    })
}

function listCommand(): Command {
  return withServiceOptions(new Command('list'))
    .summary("list operators' certificates")
    .action(async (flags: Flags) => {
      await withService(flags, client => printPages(client.operators.pages(), columns, flags.output))
    })
}

function revokeCommand(): Command {
  return withServiceOptions(new Command('revoke'))
    .summary('accept a certificate no more, for good')
    .addArgument(new Argument('<operator>', 'its fingerprint, the certificate file, or the name'))
    .action(async (named: string, flags: Flags) => {
      await withService(flags, async client => {
        const revoked = await client.operators.revoke(
          (await byName(client, named)) ?? (await fingerprintOf(named)),
        )
        await printDocument(revoked, flags.output)
        process.stderr.write(`operator ${printable(revoked.name)} is revoked\n`)
        await printClaimsLeft(client, revoked.name)
      })
    })
}

async function byName(client: Client, named: string): Promise<string | null> {
  if (!/^[A-Za-z0-9._-]{1,128}$/.test(named) || /^[0-9a-f]{64}$/.test(named)) return null
  for await (const page of client.operators.pages()) {
    const found = page.find(operator => operator.name === named && operator.state === 'accepted')
    if (found) return found.fingerprint
  }
  return null
}
