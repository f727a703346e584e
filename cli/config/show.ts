// `rollcall config show`: the settings that running services hold, asked of the API.
import { Command } from 'commander'
import type { ServiceSetting } from '../../client/index.ts'
import { type Format, onePage, printPages } from '../output/format.ts'
import { type ServiceFlags, withService, withServiceOptions } from '../service-connection.ts'

type Row = { service: string } & ServiceSetting

export function showCommand(): Command {
  return withServiceOptions(new Command('show'))
    .summary('print what the running services hold')
    .description(
      'Prints the settings that the running services hold, and where each comes from: option, variable, file or default.',
    )
    .option('--changed', 'only those that are not the default')
    .action(async ({ changed, ...flags }: ServiceFlags & { output: Format; changed?: true }) => {
      const { services } = await withService(flags, client => client.settings())
      const rows = services.flatMap(({ service, settings }) =>
        settings.map((setting): Row => ({ service, ...setting })),
      )
      await printPages(
        onePage(changed === true ? rows.filter(({ from }) => from !== 'default') : rows),
        [
          { heading: 'SERVICE', cell: ({ service }: Row) => service },
          { heading: 'SETTING', cell: ({ name }) => name },
          { heading: 'VALUE', cell: ({ value }) => (value === null ? null : String(value)) },
          { heading: 'FROM', cell: ({ from, source }) => source ?? from },
        ],
        flags.output,
      )
    })
}
