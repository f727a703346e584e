// `rollcall webhook deliveries`, `resend` and `replay`: what was sent to a webhook, and sending it again.
import { Argument, Command } from 'commander'
import type { WebhookDelivery } from '../../client/index.ts'
import { CommandFailed, printable } from '../errors.ts'
import { wholeNumber } from '../options.ts'
import { type Column, type Format, onePage, printDocument, printPages } from '../output/format.ts'
import { type ServiceFlags, withService, withServiceOptions } from '../service-connection.ts'
import { pastInstant } from '../when.ts'

type Flags = ServiceFlags & { output: Format }

const columns: readonly Column<WebhookDelivery>[] = [
  { heading: 'EVENT', cell: delivery => String(delivery.event) },
  { heading: 'TYPE', cell: delivery => delivery.type },
  { heading: 'DEVICE', cell: delivery => delivery.deviceId },
  { heading: 'DELIVERED', cell: delivery => (delivery.delivered ? 'yes' : 'no') },
  { heading: 'STATUS', cell: delivery => (delivery.status === null ? null : String(delivery.status)) },
  { heading: 'ATTEMPTS', cell: delivery => String(delivery.attempts) },
  { heading: 'AT', cell: delivery => delivery.attemptedAt },
  { heading: 'NEXT', cell: delivery => delivery.nextAttemptAt },
  { heading: 'WHY', cell: delivery => delivery.why },
]
const EVENTS_MAX = 1_000
const theWebhook = () => new Argument('<webhook>', 'its ID')

export function deliveryCommands(): Command[] {
  return [deliveries(), resend(), replay()]
}

function deliveries(): Command {
  return withServiceOptions(new Command('deliveries'))
    .summary('list what was sent to it, how it answered, and when it is tried again')
    .description(
      'Lists the last 200 events that were sent since the service started, the latest attempt first.',
    )
    .addArgument(theWebhook())
    .option('--failed', 'only those that were not delivered')
    .action(async (id: string, { failed, ...flags }: Flags & { failed?: true }) => {
      const count = await withService(flags, client => {
        const pages = client.webhooks.deliveries(id)
        return printPages(failed === true ? undelivered(pages) : pages, columns, flags.output)
      })
      if (count === 0) process.stderr.write('nothing was sent since the service started\n')
    })
}

async function* undelivered(pages: AsyncIterable<readonly WebhookDelivery[]>) {
  for await (const items of pages) yield items.filter(({ delivered }) => !delivered)
}

function resend(): Command {
  return withServiceOptions(new Command('resend'))
    .summary('send events of the log again, now and once')
    .addArgument(theWebhook())
    .addArgument(
      new Argument('<events...>', 'their numbers, as deliveries and events show them').argParser(
        eventNumbers,
      ),
    )
    .action(async (id: string, events: number[], flags: Flags) => {
      const sent = await withService(flags, async client => {
        const results: WebhookDelivery[] = []
        for (const event of events) results.push(await client.webhooks.resend(id, event))
        return results
      })
      await printPages(onePage(sent), columns, flags.output)
      const failed = sent.filter(({ delivered }) => !delivered)
      if (failed.length > 0)
        throw new CommandFailed(
          `${failed.length} of ${sent.length} were not delivered: ${printable(failed[0]?.why ?? '')}`,
          'look at the receiver',
        )
    })
}

function eventNumbers(text: string, before: readonly number[] | undefined): number[] {
  const numbers = [...(before ?? []), wholeNumber(1, 999_999_999_999_999)(text)]
  return numbers.slice(0, EVENTS_MAX)
}

function replay(): Command {
  return withServiceOptions(new Command('replay'))
    .summary('send all events since a time again')
    .description(
      'Sends the events of its kinds since then again, in their order, as far as the log holds them: those that it took, too,\n' +
        'under the same webhook-id. A disabled webhook is sent them once it is enabled.',
    )
    .addArgument(theWebhook())
    .requiredOption('--since <time>', 'RFC 3339, or so long ago: 15m, 24h, 7d', pastInstant)
    .action(async (id: string, { since, ...flags }: Flags & { since: string }) => {
      await printDocument(await withService(flags, client => client.webhooks.replay(id, since)), flags.output)
    })
}
