// `rollcall group …`: the groups that devices are in.
import { Command } from 'commander'
import type { Group } from '../../client/types.ts'
import { wholeNumber } from '../options.ts'
import { atMost, type Column, type Format, printPages } from '../output/format.ts'
import { programName } from '../program-name.ts'
import { type ServiceFlags, withService, withServiceOptions } from '../service-connection.ts'

type Flags = ServiceFlags & { output: Format; limit?: number }

const columns: readonly Column<Group>[] = [
  { heading: 'GROUP', cell: group => group.name },
  { heading: 'DEVICES', cell: group => (group.exact ? group.devices : `${group.devices}+`) },
  { heading: 'POLICIES', cell: group => group.policies.join(', ') },
]

export function groupCommand(): Command {
  const group = new Command('group').description(
    'Groups: names that devices share, for policies and filters.',
  )
  return group.addCommand(
    withServiceOptions(new Command('list'))
      .summary('list groups with their devices and policies')
      .option('--limit <n>', 'at most so many', wholeNumber(1, 10_000_000))
      .addHelpText(
        'after',
        `
Examples:
  rollcall group list
  rollcall device set pump-1 pump-2 --group pumps
  rollcall policy attach telemetry --group pumps`,
      )
      .action(async ({ limit, ...flags }: Flags) => {
        const count = await withService(flags, client =>
          printPages(atMost(client.groups.pages(), limit), columns, flags.output),
        )
        if (count === 0)
          process.stderr.write(
            `there is no group; put devices into one: ${programName()} device set ID --group NAME\n`,
          )
      }),
  )
}
