// `rollcall device delete`: taking decommissioned devices off the roll.
import { Command } from 'commander'
import { confirm, withYes } from '../confirmation.ts'
import { printable } from '../errors.ts'
import { type ServiceFlags, withService, withServiceOptions } from '../service-connection.ts'
import { forEachDevice, idsArgument, idsOf } from './many.ts'

export function deleteCommand(): Command {
  return withYes(withServiceOptions(new Command('delete')))
    .summary('take decommissioned devices off the roll, once their certificates have expired')
    .description(
      'Deletes devices that were decommissioned and whose last certificate has expired. Rows of the audit log stay, and so do\n' +
        'their public keys, which no device gets again. One that came with an identity of its maker cannot be deleted.',
    )
    .addArgument(idsArgument())
    .addHelpText(
      'after',
      `
Examples:
  rollcall device decommission typo-1 && rollcall device delete typo-1
  rollcall device list --state decommissioned --expires before:2026-01-01 -o jsonl | jq -r .id | rollcall device delete -`,
    )
    .action(async (given: string[], { yes, ...flags }: ServiceFlags & { yes?: true }) => {
      const ids = await idsOf(given)
      await confirm('delete for good', ids, yes)
      await withService(flags, client =>
        forEachDevice(
          ids,
          async id => {
            await client.devices.remove(id)
            return id
          },
          id => void process.stderr.write(`${printable(id)} is deleted\n`),
        ),
      )
    })
}
