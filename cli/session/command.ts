// `rollcall session …`: sessions of devices, connected and kept, and ending them.
import { Command, Option } from 'commander'
import type { KickReceipt, Session, SessionListing } from '../../client/sessions.ts'
import { confirm, withYes } from '../confirmation.ts'
import { forEachDevice, idsArgument, idsOf } from '../device/many.ts'
import { printable } from '../errors.ts'
import { wholeNumber } from '../options.ts'
import { atMost, type Column, type Format, printDocument, printPages, readAhead } from '../output/format.ts'
import { printReceipt } from '../output/receipt.ts'
import { type ServiceFlags, withService, withServiceOptions } from '../service-connection.ts'

type Flags = ServiceFlags & { output: Format }
type ListFlags = Flags & SessionListing & { sort?: string }

const PAGE_SESSIONS = 500

const columns: readonly Column<Session>[] = [
  { heading: 'DEVICE', cell: session => session.deviceId },
  { heading: 'CONNECTED', cell: session => (session.connected ? 'yes' : 'no') },
  { heading: 'KEPT', cell: session => (session.kept ? 'yes' : 'no') },
  { heading: 'WAITING', cell: session => session.messagesWaiting },
  { heading: 'SINCE', cell: session => (session.connected ? session.connectedAt : session.disconnectedAt) },
  { heading: 'ADDRESS', cell: session => session.address },
  { heading: 'MQTT', cell: session => session.protocol },
  { heading: 'BROKER', cell: session => session.node },
]

/** By what a list is sorted, and how the API names it. */
const sorts: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries({
    device: 'deviceId',
    since: 'connectedAt',
    'last-seen': 'lastSeen',
    waiting: 'messagesWaiting',
  }).flatMap(([name, field]) => [
    [name, field],
    [`-${name}`, `-${field}`],
  ]),
)

export function sessionCommand(): Command {
  const session = new Command('session').description(
    'Sessions of devices: of those that are connected, and kept ones of those that are not.',
  )
  session.addCommand(listCommand())
  session.addCommand(kickCommand())
  return session
}

function listCommand(): Command {
  return withServiceOptions(new Command('list'))
    .summary('list sessions')
    .optionsGroup('Which sessions (all must hold):')
    .option('--connected', 'of devices that are connected now')
    .option('--no-connected', 'kept, of devices that are not connected now')
    .option('--kept', 'those that outlive their connection')
    .option('--group <name>', 'of devices in this group')
    .option('--prefix <text>', 'of devices whose ID starts so')
    .optionsGroup('How they are listed:')
    .addOption(new Option('--sort <column>', 'descending with - before it').choices(Object.keys(sorts)))
    .option('--limit <n>', 'at most so many', wholeNumber(1, 10_000_000))
    .addHelpText(
      'after',
      `
Examples:
  rollcall session list --connected --group pumps
  rollcall session list --no-connected --sort -waiting --limit 20
  rollcall session list --kept -o jsonl`,
    )
    .action(async ({ connected, kept, group, prefix, sort, limit, ...flags }: ListFlags) => {
      const given = Object.entries({ connected, kept, group, prefix }).filter(
        ([, value]) => value !== undefined,
      )
      const listing: SessionListing = {
        ...Object.fromEntries(given),
        ...(sort && { sort: sorts[sort] }),
        limit: Math.min(limit ?? PAGE_SESSIONS, PAGE_SESSIONS),
      }
      const count = await withService(flags, client =>
        printPages(readAhead(atMost(client.sessions.pages(listing), limit)), columns, flags.output),
      )
      if (count === 0) process.stderr.write('no session fits\n')
    })
}

function kickCommand(): Command {
  return withYes(withServiceOptions(new Command('kick')))
    .summary('end the sessions of devices, which may connect again')
    .description(
      'Ends the connection of each device; by MQTT 5 it is told so with 0x98 (administrative action), and its will is sent.\n' +
        'The device keeps its right: most clients are back within seconds. To keep one out, suspend it.',
    )
    .addArgument(idsArgument())
    .option('--clear', 'delete what is stored of the session, too: subscriptions and waiting messages')
    .addHelpText(
      'after',
      `
Examples:
  rollcall session kick pump-1
  rollcall session kick pump-1 pump-2 --clear --yes
  rollcall session list --no-connected --prefix test- -o jsonl | jq -r .deviceId | rollcall session kick - --clear`,
    )
    .action(async (given: string[], { clear, yes, ...flags }: Flags & { clear?: true; yes?: true }) => {
      const ids = await idsOf(given)
      const doing = clear
        ? 'end the sessions, and delete their subscriptions and waiting messages, of'
        : 'end the sessions of'
      await confirm(doing, ids, yes)
      const output = flags.output === 'json' && ids.length > 1 ? 'jsonl' : flags.output
      await withService(flags, client =>
        forEachDevice<KickReceipt>(
          ids,
          id => client.sessions.kick(id, clear === undefined ? {} : { clear }),
          async receipt => {
            await printDocument(receipt, output)
            const done = receipt.cleared ? 'has no session any more' : 'may connect again'
            printReceipt(`${printable(receipt.deviceId)} ${done}`, receipt)
          },
        ),
      )
    })
}
