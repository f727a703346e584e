// `rollcall device try-publish` and `try-subscribe`: what a device may, tried out through the broker.
import { readFileSync } from 'node:fs'
import { Argument, Command, Option } from 'commander'
import type { TriedMessage } from '../../client/tryouts.ts'
import { CommandFailed, printable, UsageError } from '../errors.ts'
import { wholeNumber } from '../options.ts'
import { type Column, type Format, printDocument, printPages } from '../output/format.ts'
import { type ServiceFlags, withService, withServiceOptions } from '../service-connection.ts'

type Flags = ServiceFlags & { output: Format }
type PublishFlags = Flags & { payload?: string; file?: string; qos: string }

const [SECONDS, SECONDS_MAX, MESSAGES_MAX] = [10, 60, 100]
const ANSWER_MS = 15_000

const columns: readonly Column<TriedMessage>[] = [
  { heading: 'TOPIC', cell: message => message.topic },
  { heading: 'QOS', cell: message => message.qos },
  { heading: 'RETAINED', cell: message => (message.retained ? 'yes' : 'no') },
  { heading: 'BYTES', cell: message => message.bytes },
  { heading: 'PAYLOAD', cell: message => message.payload ?? `base64 ${message.payloadBase64}` },
]

export function tryPublishCommand(): Command {
  return withServiceOptions(new Command('try-publish'))
    .summary('publish a message as the rights of a device allow')
    .description(
      'Publishes through the broker by the rights of the device, which need not be connected. The message is on record, is not retained, and\n' +
        'names you in the user property rollcall-tried-by. Subscribers get it as any other.',
    )
    .addArgument(new Argument('<id>', 'device ID'))
    .addArgument(new Argument('<topic>', 'a topic'))
    .option('--payload <text>', 'what it says; empty where neither is given')
    .option('--file <file>', 'a file with what it says, 32 KiB at most')
    .addOption(new Option('--qos <qos>', 'quality of service').choices(['0', '1', '2']).default('1'))
    .addHelpText(
      'after',
      '\nExamples:\n  rollcall device try-publish pump-1 devices/pump-1/telemetry --payload \'{"rpm": 1200}\'',
    )
    .action(async (id: string, topic: string, { payload, file, qos, ...flags }: PublishFlags) => {
      if (payload !== undefined && file !== undefined)
        throw new UsageError('--payload and --file do not go together')
      const said =
        file === undefined
          ? { payload: payload ?? '' }
          : { payloadBase64: contentOf(file).toString('base64') }
      await withService(flags, async client => {
        const tried = await client.tryouts.publish(id, { topic, qos: Number(qos), ...said })
        await printDocument(tried, flags.output)
      })
    })
}

export function trySubscribeCommand(): Command {
  return withServiceOptions(new Command('try-subscribe'))
    .summary('show the messages that a device would be sent by a subscription')
    .description(
      'Listens by the rights of the device, beside its own session, and prints what came once the time is over: retained messages first.\n' +
        'On record, and no session: nothing waits for it.',
    )
    .addArgument(new Argument('<id>', 'device ID'))
    .addArgument(new Argument('<filter>', 'a topic filter'))
    .addOption(
      new Option('--seconds <n>', 'how long').argParser(wholeNumber(1, SECONDS_MAX)).default(SECONDS),
    )
    .addOption(
      new Option('--messages <n>', 'at most so many')
        .argParser(wholeNumber(1, MESSAGES_MAX))
        .default(MESSAGES_MAX),
    )
    .addHelpText(
      'after',
      "\nExamples:\n  rollcall device try-subscribe pump-1 'devices/pump-1/#' --seconds 30\n  rollcall device try-subscribe pump-1 'devices/pump-1/commands' --messages 1 -o jsonl",
    )
    .action(async (id: string, filter: string, flags: Flags & { seconds: number; messages: number }) => {
      const { seconds, messages } = flags
      const waits = seconds * 1_000 + ANSWER_MS
      const tried = await withService(
        flags,
        client => client.tryouts.subscribe(id, { filter, seconds, messages }),
        waits,
      )
      await printPages(pageOf(tried.messages), columns, flags.output)
      const why = { time: `${seconds} s are over`, messages: 'so many came' } as Record<string, string>
      const ended = why[tried.ended] ?? 'the right of the device ended, or the broker'
      process.stderr.write(`${tried.messages.length} messages for ${printable(id)}: ${ended}\n`)
    })
}

async function* pageOf(messages: TriedMessage[]): AsyncGenerator<TriedMessage[]> {
  yield messages
}

function contentOf(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    throw new CommandFailed(
      `${file} cannot be read: ${(error as Error).message}`,
      'name a file that there is',
    )
  }
}
