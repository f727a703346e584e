// `rollcall issuer …`: whose signatures are trusted, and taking that trust away.
import { Argument, Command } from 'commander'
import type { Issuer } from '../client/types.ts'
import { type Column, type Format, printDocument, printPages } from './output.ts'
import { sayReceipt } from './receipt.ts'
import { type ServiceFlags, withService, withServiceOptions } from './service.ts'

type Flags = ServiceFlags & { output: Format }

const columns: readonly Column<Issuer>[] = [
  { heading: 'ID', cell: issuer => issuer.id },
  { heading: 'NAME', cell: issuer => issuer.name },
  { heading: 'KIND', cell: issuer => issuer.kind },
  { heading: 'ENABLED', cell: issuer => (issuer.enabled ? 'yes' : 'no') },
  { heading: 'EXPIRES', cell: issuer => issuer.notAfter },
]

const verbs = {
  disable: 'admit nobody whose certificate it signed, and cut all who are connected',
  enable: 'admit again what it signed',
} as const

export function issuerCommand(): Command {
  const issuer = new Command('issuer').description('Issuers whose certificates may be admitted.')
  issuer.addCommand(listCommand())
  for (const verb of ['disable', 'enable'] as const) issuer.addCommand(switchCommand(verb))
  return issuer
}

function listCommand(): Command {
  return withServiceOptions(new Command('list'))
    .summary('list issuers')
    .action(async (flags: Flags) => {
      await withService(flags, client => printPages(client.issuers.pages(), columns, flags.output))
    })
}

function switchCommand(verb: keyof typeof verbs): Command {
  return withServiceOptions(new Command(verb))
    .summary(verbs[verb])
    .addArgument(new Argument('<id>', 'ID of the issuer: the fingerprint of its certificate'))
    .action(async (id: string, flags: Flags) => {
      const receipt = await withService(flags, client => client.issuers[verb](id))
      await printDocument(receipt, flags.output)
      sayReceipt(`issuer ${receipt.issuerId.slice(0, 16)}… is ${verb}d`, receipt)
    })
}
