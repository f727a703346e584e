// `rollcall retained …`: messages that topics retain, and clearing them.
import { Argument, Command } from 'commander'
import {
  type ClearReceipt,
  type RetainedListing,
  type RetainedMessage,
  TOPICS_CLEARED_MAX,
} from '../../client/retained.ts'
import { confirm, withYes } from '../confirmation.ts'
import { CommandFailed, UsageError } from '../errors.ts'
import { namesOf } from '../given-names.ts'
import { wholeNumber } from '../options.ts'
import { atMost, type Column, type Format, printDocument, printPages, readAhead } from '../output/format.ts'
import { printReceipt } from '../output/receipt.ts'
import { type ServiceFlags, withService, withServiceOptions } from '../service-connection.ts'

type Flags = ServiceFlags & { output: Format }
type Which = { filter?: string; device?: string }

const PAGE_MESSAGES = 500
/** In JSON a character takes six at most. */
const LINE_CHARACTERS_MAX = 1_000_000

const columns: readonly Column<RetainedMessage>[] = [
  { heading: 'TOPIC', cell: message => message.topic },
  { heading: 'DEVICE', cell: message => message.deviceId },
  { heading: 'QOS', cell: message => message.qos },
  { heading: 'BYTES', cell: message => message.bytes },
  { heading: 'RETAINED', cell: message => message.retainedAt },
  { heading: 'EXPIRES', cell: message => message.expiresAt },
]

export function retainedCommand(): Command {
  const retained = new Command('retained').description(
    'Retained messages: what the broker sends to each new subscriber of a topic.',
  )
  retained.addCommand(listCommand())
  retained.addCommand(showCommand())
  retained.addCommand(clearCommand())
  return retained
}

function withWhich(command: Command): Command {
  return command
    .optionsGroup('Which messages (all must hold):')
    .option(
      '--filter <filter>',
      'of topics that this topic filter matches, such as devices/+/state or site-7/#',
    )
    .option('--device <id>', 'that this device published')
}

function listCommand(): Command {
  return withWhich(withServiceOptions(new Command('list')))
    .summary('list retained messages, without their payload')
    .option('--limit <n>', 'at most so many', wholeNumber(1, 10_000_000))
    .addHelpText(
      'after',
      `
Examples:
  rollcall retained list --filter 'devices/+/state' --limit 20
  rollcall retained list --device pump-1
  rollcall retained list -o jsonl | jq -s 'map(.bytes) | add'`,
    )
    .action(async ({ filter, device, limit, ...flags }: Flags & Which & { limit?: number }) => {
      const listing = {
        ...listingOf({ filter, device }),
        limit: Math.min(limit ?? PAGE_MESSAGES, PAGE_MESSAGES),
      }
      const count = await withService(flags, client =>
        printPages(readAhead(atMost(client.retained.pages(listing), limit)), columns, flags.output),
      )
      if (count === 0) process.stderr.write('no retained message fits\n')
    })
}

function showCommand(): Command {
  return withServiceOptions(new Command('show'))
    .summary('tell what a topic retains')
    .addArgument(new Argument('<topic>', 'a topic, without wildcards'))
    .addHelpText('after', "\nExamples:\n  rollcall retained show 'devices/pump-1/state'")
    .action(async (topic: string, flags: Flags) => {
      assertTopics([topic])
      await withService(flags, async client => {
        for await (const [message] of client.retained.pages({ filter: topic, limit: 1 }))
          if (message !== undefined) return printDocument(message, flags.output)
        throw new CommandFailed(`nothing is retained on ${topic}`, 'rollcall retained list shows what is')
      })
    })
}

function clearCommand(): Command {
  return withYes(withWhich(withServiceOptions(new Command('clear'))))
    .summary('clear retained messages for good')
    .description(
      'Clears what topics retain: later subscribers are sent nothing, present ones are not told. Name topics, or say which messages.\n' +
        'What is published meanwhile stays; a device that publishes again retains again.',
    )
    .addArgument(
      new Argument(
        '[topics...]',
        'topics; - reads them from standard input, as retained list -o jsonl writes them',
      ),
    )
    .addHelpText(
      'after',
      `
Examples:
  rollcall retained clear devices/pump-1/state
  rollcall retained clear --device pump-1 --yes
  rollcall retained list --filter 'old/#' -o jsonl | jq -c 'select(.bytes > 1000)' | rollcall retained clear -`,
    )
    .action(async (given: string[], { filter, device, yes, ...flags }: Flags & Which & { yes?: true }) => {
      const isNamed = given.length > 0
      if (isNamed === (filter !== undefined || device !== undefined))
        throw new UsageError(
          isNamed ? 'topics and --filter or --device do not go together' : 'no topic is given',
          'name topics, or use --filter, --device or both',
        )
      await withService(flags, async client => {
        const topics = isNamed
          ? await namesOf(given, { what: 'topic', charactersMax: LINE_CHARACTERS_MAX, nameIn: topicIn })
          : await topicsOf(client.retained.pages(listingOf({ filter, device })))
        if (topics.length === 0) throw new CommandFailed('no retained message fits', 'nothing was cleared')
        assertTopics(topics)
        await confirm(
          `clear ${topics.length === 1 ? 'what is' : `${topics.length} messages`} retained on`,
          topics,
          yes,
        )
        const output = flags.output === 'json' && topics.length > TOPICS_CLEARED_MAX ? 'jsonl' : flags.output
        for (let at = 0; at < topics.length; at += TOPICS_CLEARED_MAX) {
          const receipt = await client.retained.clear(topics.slice(at, at + TOPICS_CLEARED_MAX))
          await printDocument(receipt, output)
          printReceipt(cleared(receipt), receipt)
        }
      })
    })
}

function listingOf({ filter, device }: { [Key in keyof Which]: Which[Key] | undefined }): RetainedListing {
  return { ...(filter !== undefined && { filter }), ...(device !== undefined && { device }) }
}

/** A topic may hold a line feed and blanks: as bare text it could name another one. @throws UsageError */
function topicIn(line: string): string {
  try {
    const { topic } = JSON.parse(line) as { topic?: unknown }
    if (typeof topic === 'string') return topic
  } catch {
    // As below.
  }
  throw new UsageError(
    `a line of standard input is no JSON with a topic: ${line.slice(0, 80)}`,
    'give lines as rollcall retained list -o jsonl writes them',
  )
}

async function topicsOf(pages: AsyncIterable<RetainedMessage[]>): Promise<string[]> {
  const topics: string[] = []
  for await (const page of pages) for (const { topic } of page) topics.push(topic)
  return topics
}

function assertTopics(topics: readonly string[]): void {
  const wrong = topics.find(topic => /[+#]/.test(topic))
  if (wrong !== undefined)
    throw new UsageError(
      `${wrong} is a topic filter`,
      `say --filter '${wrong}' for all topics that it matches`,
    )
}

function cleared({ topics }: ClearReceipt): string {
  return topics.length === 1 ? '1 retained message cleared' : `${topics.length} retained messages cleared`
}
