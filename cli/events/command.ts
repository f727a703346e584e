// `rollcall events`: what happened in the fleet, and what happens now.
import { createInterface } from 'node:readline'
import { Command, Option } from 'commander'
import type { Client, FleetEvent } from '../../client/index.ts'
import { jsonOf, printable } from '../errors.ts'
import { wholeNumber } from '../options.ts'
import { atMost, type Column, type Format, printPages } from '../output/format.ts'
import { type ServiceFlags, withService, withServiceOptions } from '../service-connection.ts'
import { type When, whenOf } from '../when.ts'

type Filter = { device: string | undefined; kind: string | undefined; reason: string | undefined }
type Flags = ServiceFlags & Filter & { output: Format; since?: When; limit: number; follow?: true }

const columns: readonly Column<FleetEvent>[] = [
  { heading: 'AT', cell: event => event.at },
  { heading: 'KIND', cell: event => event.kind },
  { heading: 'DEVICE', cell: event => event.deviceId },
  { heading: 'REASON', cell: event => event.reason },
  { heading: 'DETAIL', cell: event => detailOf(event) },
]

const examples = `
Examples:
  rollcall events --follow
  rollcall events --kind refused --since after:1h
  rollcall events --device pump-1 --follow -o jsonl`

export function eventsCommand(): Command {
  return withServiceOptions(new Command('events'))
    .description('Lists events of the last seven days, the newest first, or follows them as they happen.')
    .option('--device <id>', 'of this device')
    .option('--kind <kind>', 'of this kind, such as connected, refused or publish_denied')
    .option('--reason <code>', 'with this reason')
    .option('--since <when>', 'after:1h, or after a date', whenOf())
    .option('--limit <n>', 'at most so many', wholeNumber(1, 200_000), 100)
    .addOption(new Option('--follow', 'wait for those that come, until Ctrl-C').conflicts(['since', 'limit']))
    .addHelpText('after', examples)
    .action(async ({ device, kind, reason, since, limit, follow, ...flags }: Flags) => {
      const filter = { device, kind, reason }
      await withService(flags, async client => {
        if (follow === true) return followEvents(client, filter, flags.output)
        const asked = { ...filter, since: since?.after, limit: Math.min(limit, 500) }
        const found = await printPages(atMost(client.events.pages(asked), limit), columns, flags.output)
        if (found === 0) process.stderr.write('no event fits\n')
      })
    })
}

/** One line an event, until the service ends the stream. */
async function followEvents(client: Client, filter: Filter, output: Format): Promise<void> {
  for await (const line of createInterface({ input: await client.events.stream(filter) })) {
    if (!line.startsWith('data: ')) continue
    const event = JSON.parse(line.slice('data: '.length)) as FleetEvent
    const cells = [event.at, event.kind, event.deviceId ?? '-', event.reason ?? '-', detailOf(event)]
    process.stdout.write(`${output === 'table' ? printable(cells.join('  ')) : jsonOf(event)}\n`)
  }
}

function detailOf({ detail }: FleetEvent): string {
  return Object.entries(detail)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name}=${typeof value === 'object' ? JSON.stringify(value) : String(value)}`)
    .join(' ')
    .replaceAll('\n', ' ')
}
