// `rollcall device list`: devices that fit, in an order, with the columns that somebody needs.
import { setTimeout } from 'node:timers/promises'
import { Command, InvalidArgumentError } from 'commander'
import type { Client } from '../../client/index.ts'
import type { Device, DeviceListing } from '../../client/types.ts'
import { durationSeconds, wholeNumber } from '../options.ts'
import { atMost, type Column, type Format, printPages, readAhead } from '../output/format.ts'
import { programName } from '../program-name.ts'
import { type ServiceFlags, withService, withServiceOptions } from '../service-connection.ts'
import { type FilterFlags, filterOf, withFilters } from './filters.ts'

type Flags = ServiceFlags &
  FilterFlags & { output: Format; sort?: string; columns: string[]; limit?: number; watch?: true | number }

/** Every column there is, and the field by which it is sorted where it can be. */
const columns: Readonly<Record<string, Column<Device> & { sort?: string }>> = {
  id: { heading: 'ID', cell: device => device.id, sort: 'id' },
  state: { heading: 'STATE', cell: device => device.state, sort: 'state' },
  connected: { heading: 'CONNECTED', cell: device => (device.connected ? 'yes' : 'no') },
  'last-seen': { heading: 'LAST SEEN', cell: lastSeen, sort: 'lastSeen' },
  'connected-at': { heading: 'CONNECTED AT', cell: of('connectedAt'), sort: 'connectedAt' },
  'disconnected-at': { heading: 'DISCONNECTED AT', cell: of('disconnectedAt') },
  reason: { heading: 'REASON', cell: of('reason') },
  address: { heading: 'ADDRESS', cell: of('address') },
  protocol: { heading: 'MQTT', cell: of('protocol') },
  session: { heading: 'SESSION', cell: device => (device.lastSeen?.sessionKept ? 'kept' : '-') },
  waiting: { heading: 'WAITING', cell: of('messagesWaiting'), sort: 'messagesWaiting' },
  'bytes-in': { heading: 'BYTES IN', cell: of('bytesIn') },
  'bytes-out': { heading: 'BYTES OUT', cell: of('bytesOut') },
  certificate: {
    heading: 'CERTIFICATE',
    cell: device => device.certificate?.status ?? null,
    sort: 'certificateStatus',
  },
  expires: {
    heading: 'EXPIRES',
    cell: device => device.certificate?.notAfter ?? null,
    sort: 'certificateExpiry',
  },
  groups: { heading: 'GROUPS', cell: device => device.groups.join(',') },
  attributes: { heading: 'ATTRIBUTES', cell: device => pairs(device.attributes) },
  created: { heading: 'CREATED', cell: device => device.createdAt, sort: 'createdAt' },
  updated: { heading: 'UPDATED', cell: device => device.updatedAt, sort: 'updatedAt' },
}
const shown = ['id', 'state', 'last-seen', 'groups', 'attributes', 'created']

const sortable = Object.keys(columns).filter(name => columns[name]!.sort !== undefined)

const examples = `
Examples:
  rollcall device list --group pumps --connected
  rollcall device list --last-seen before:7d --sort last-seen --columns id,last-seen,reason,address
  rollcall device list --last-seen never --state registered
  rollcall device list --expires before:30d --sort expires --columns id,certificate,expires
  rollcall device list --search 'pump site:north' -o jsonl`

export function listCommand(): Command {
  return withServiceOptions(withFilters(new Command('list')))
    .summary('list devices')
    .optionsGroup('How they are listed:')
    .option('--sort <column>', `by one of ${sortable.join(', ')}; descending with - before it`, sortOrder)
    .option('--columns <names>', `of ${Object.keys(columns).join(', ')}`, columnNames, shown)
    .option('--limit <n>', 'at most so many', wholeNumber(1, 10_000_000))
    .option('--watch [time]', 'list again every 2s, or as often as this says, until Ctrl-C', durationSeconds)
    .addHelpText('after', examples)
    .action(async ({ sort, columns: names, limit, watch, ...flags }: Flags) => {
      const listing = { ...filterOf(flags), ...(sort && { sort }), limit: Math.min(limit ?? 500, 500) }
      const shownColumns = names.map(name => columns[name]!)
      await withService(flags, async client => {
        for (;;) {
          if (watch !== undefined && process.stdout.isTTY) process.stdout.write('\u001b[H\u001b[2J')
          await printOnce(client, listing, shownColumns, limit, flags.output)
          if (watch === undefined) return
          await setTimeout(1_000 * (watch === true ? 2 : Math.max(1, watch)))
        }
      })
    })
}

async function printOnce(
  client: Client,
  listing: DeviceListing,
  shownColumns: readonly Column<Device>[],
  limit: number | undefined,
  format: Format,
): Promise<void> {
  const pages = atMost(client.devices.pages(listing), limit)
  const count = await printPages(readAhead(pages), shownColumns, format)
  if (count === 0)
    process.stderr.write(`no device fits; put one on the roll: ${programName()} device add ID\n`)
}

function sortOrder(text: string): string {
  const [, minus = '', name = ''] = /^(-?)(.*)$/.exec(text) ?? []
  const field = columns[name]?.sort
  if (field === undefined) throw new InvalidArgumentError(`It must be one of ${sortable.join(', ')}.`)
  return minus + field
}

function columnNames(text: string): string[] {
  const names = text.split(',')
  const unknown = names.find(name => !Object.hasOwn(columns, name))
  if (unknown === undefined) return names
  throw new InvalidArgumentError(
    `There is no column ${unknown}; there are ${Object.keys(columns).join(', ')}.`,
  )
}

function of(field: keyof NonNullable<Device['lastSeen']>): Column<Device>['cell'] {
  return ({ lastSeen: seen }) => (seen === null ? null : (seen[field] as string | number | null))
}

function lastSeen({ connected, lastSeen: seen }: Device): string {
  if (connected) return 'now'
  return seen === null ? 'never' : (seen.disconnectedAt ?? 'now')
}

function pairs(attributes: Record<string, string>): string {
  return Object.entries(attributes)
    .map(([key, value]) => `${key}=${value}`)
    .join(',')
}
