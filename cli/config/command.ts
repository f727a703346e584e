// `rollcall config check|print`: what a start of `up` would be set to, told before it is made.
import { Command } from 'commander'
import { CommandFailed } from '../errors.ts'
import { type Format, onePage, outputOption, printDocument, printPages } from '../output/format.ts'
import { type UpFlags, withUpOptions } from '../service/up.ts'
import { type EffectiveSetting, effectiveSettings, type GivenFlag } from './settings.ts'
import { showCommand } from './show.ts'

type Flags = UpFlags & { output: Format }

export function configCommand(): Command {
  const command = new Command('config').description(
    'Settings come from flags, the environment, rollcall.yaml in the data directory, and defaults, in this order.\n' +
      'Give the flags that you start up with.',
  )
  command
    .addCommand(
      withUpOptions(new Command('check'))
        .description('Names every setting that is unknown or impossible. Exit 1 where there is one.')
        .addOption(outputOption())
        .action(check),
    )
    .addCommand(
      withUpOptions(new Command('print'))
        .description('Prints every setting, its value, and where that comes from.')
        .addOption(outputOption())
        .action(print),
    )
  command.addCommand(showCommand())
  return command
}

async function check(flags: Flags, command: Command): Promise<void> {
  const { settings } = settingsThatHold(command, flags)
  const changed = settings.filter(({ from }) => from !== 'default').length
  await printDocument({ settings: settings.length, changed, problems: 0 }, flags.output)
}

async function print(flags: Flags, command: Command): Promise<void> {
  const { settings } = settingsThatHold(command, flags)
  await printPages(
    onePage(settings),
    [
      { heading: 'SETTING', cell: ({ name }: EffectiveSetting) => name },
      { heading: 'VALUE', cell: ({ value }) => (value === null ? null : String(value)) },
      { heading: 'FROM', cell: ({ from, source }) => source ?? from },
    ],
    flags.output,
  )
}

/** @throws CommandFailed with every problem. */
function settingsThatHold(command: Command, flags: Flags): { settings: EffectiveSetting[] } {
  const { settings, problems } = effectiveSettings(flags.data, flagsOf(command), process.env)
  if (problems.length === 0) return { settings }
  const count = problems.length === 1 ? 'one problem' : `${problems.length} problems`
  throw Object.assign(
    new CommandFailed(`the settings have ${count}`, 'docs/operations.md lists every setting'),
    { findings: problems.map(message => ({ message })) },
  )
}

/** The flags that `up` has too, with their values. */
export function flagsOf(command: Command): GivenFlag[] {
  return command.options
    .filter(({ long }) => long !== '--data' && long !== '--output')
    .map(option => {
      const name = option.attributeName()
      const given = command.getOptionValueSource(name) === 'cli'
      return { name, flag: option.long ?? name, value: command.getOptionValue(name), given }
    })
    .filter(({ value }) => value !== undefined)
}
