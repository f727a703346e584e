// `rollcall webhook …`: where events are sent, and how that goes.
import { Argument, Command, Option } from 'commander'
import type { Webhook } from '../../client/index.ts'
import { kinds } from '../../db/events/event-kind.ts'
import { CommandFailed, printable } from '../errors.ts'
import { type Column, type Format, printDocument, printPages } from '../output/format.ts'
import { writeSecret } from '../output/secret-file.ts'
import { type ServiceFlags, withService, withServiceOptions } from '../service-connection.ts'
import { deliveryCommands } from './deliveries.ts'

type Flags = ServiceFlags & { output: Format }

const columns: readonly Column<Webhook>[] = [
  { heading: 'ID', cell: webhook => webhook.id },
  { heading: 'URL', cell: webhook => webhook.url },
  { heading: 'KINDS', cell: webhook => webhook.kinds.join(',') || 'all' },
  { heading: 'STATE', cell: webhook => webhook.state },
  { heading: 'DELIVERED', cell: webhook => webhook.deliveredAt },
  { heading: 'WHY', cell: webhook => webhook.why ?? webhook.disabledReason },
]
const theWebhook = () => new Argument('<webhook>', 'its ID')

export function webhookCommand(): Command {
  const webhook = new Command('webhook').description('Webhooks: events sent to a URL, signed.')
  for (const command of [
    add(),
    list(),
    show(),
    change('enable', true),
    change('disable', false),
    test(),
    ...deliveryCommands(),
    remove(),
  ])
    webhook.addCommand(command)
  return webhook
}

function add(): Command {
  return withServiceOptions(new Command('add'))
    .summary('send events to a URL')
    .description(
      'Sends events to URL from now on, each signed as Standard Webhooks has it. The secret to check signatures with is on stdout,\n' +
        'here and never again, or with --out in a new file (0600).',
    )
    .addArgument(new Argument('<url>', 'https, of a public address'))
    .addOption(new Option('--kind <kinds...>', 'only these kinds of events (default: all)').choices(kinds))
    .option('--out <file>', 'write the secret there instead of on stdout')
    .action(async (url: string, flags: Flags & { kind?: string[]; out?: string }) => {
      const wanted = { url, kinds: flags.kind ?? [] }
      const { secret, ...facts } = await withService(flags, client => client.webhooks.add(wanted))
      if (flags.out === undefined) {
        await printDocument({ ...facts, secret }, flags.output)
        process.stderr.write('the secret is shown here and never again\n')
        return
      }
      await writeSecret(flags.out, `${secret}\n`)
      await printDocument({ ...facts, file: flags.out }, flags.output)
    })
}

function list(): Command {
  return withServiceOptions(new Command('list'))
    .summary('list webhooks and how each stands')
    .action(async (flags: Flags) => {
      await withService(flags, client => printPages(client.webhooks.pages(), columns, flags.output))
    })
}

function show(): Command {
  return withServiceOptions(new Command('show'))
    .summary('show one, with its last attempt')
    .addArgument(theWebhook())
    .action(async (id: string, flags: Flags) => {
      await printDocument(await withService(flags, client => client.webhooks.show(id)), flags.output)
    })
}

function change(verb: 'enable' | 'disable', enabled: boolean): Command {
  return withServiceOptions(new Command(verb))
    .summary(enabled ? 'send to it again, what it missed first' : 'send it nothing until it is enabled')
    .addArgument(theWebhook())
    .action(async (id: string, flags: Flags) => {
      const changed = await withService(flags, client => client.webhooks.change(id, { enabled }))
      await printDocument(changed, flags.output)
    })
}

function test(): Command {
  return withServiceOptions(new Command('test'))
    .summary('send it a message that says it is a test')
    .addArgument(theWebhook())
    .action(async (id: string, flags: Flags) => {
      const outcome = await withService(flags, client => client.webhooks.test(id))
      await printDocument(outcome, flags.output)
      if (!outcome.delivered)
        throw new CommandFailed(
          `it was not delivered: ${printable(outcome.why ?? '')}`,
          'look at the receiver',
        )
    })
}

function remove(): Command {
  return withServiceOptions(new Command('remove'))
    .summary('send it nothing more, for good')
    .addArgument(theWebhook())
    .action(async (id: string, flags: Flags) => {
      await withService(flags, client => client.webhooks.remove(id))
      process.stderr.write(`webhook ${printable(id)} is removed\n`)
    })
}
