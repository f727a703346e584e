// `rollcall audit digest`: what each actor did on a day and how often, instead of row by row.
import { Command, InvalidArgumentError } from 'commander'
import type { AuditRow } from '../../client/types.ts'
import { parseInstant } from '../../pki/instant.ts'
import { type Column, type Format, onePage, printPages } from '../output/format.ts'
import { type ServiceFlags, withService, withServiceOptions } from '../service-connection.ts'

type Flags = ServiceFlags & { output: Format; day: string; machines?: true }
/** `targets` names the first of them. */
type DigestLine = { actor: string; action: string; count: number; targets: string[]; last: string }

const DAY_MS = 86_400_000
const PAGE_ROWS = 500
const TARGETS_NAMED = 3

const columns: readonly Column<DigestLine>[] = [
  { heading: 'ACTOR', cell: line => line.actor },
  { heading: 'ACTION', cell: line => line.action },
  { heading: 'TIMES', cell: line => line.count },
  {
    heading: 'TO',
    cell: ({ targets, count }) => `${targets.join(', ')}${count > targets.length ? ' …' : ''}`,
  },
  { heading: 'LAST', cell: line => line.last },
]

export function digestCommand(): Command {
  return withServiceOptions(new Command('digest'))
    .summary('sum up a day: each actor, what it did, how often')
    .option('--day <date>', 'which day, in UTC, such as 2026-11-30 (default: today)', day, day(today()))
    .option('--machines', 'what devices, enrollments and the service itself did, too')
    .action(async ({ day: begin, machines, ...flags }: Flags) => {
      const until = new Date((parseInstant(begin) ?? 0) + DAY_MS).toISOString()
      const filter = { since: begin, until, limit: PAGE_ROWS, ...(machines ? {} : { by: 'people' as const }) }
      const lines = await withService(flags, client => digestOf(client.audit.pages(filter)))
      await printPages(onePage(lines), columns, flags.output)
      if (lines.length === 0) process.stderr.write(`nothing was done on ${begin.slice(0, 10)}\n`)
    })
}

/** The busiest first. The rows are the newest first. */
async function digestOf(pages: AsyncIterable<readonly AuditRow[]>): Promise<DigestLine[]> {
  const lines = new Map<string, DigestLine>()
  for await (const rows of pages) for (const row of rows) add(lines, row)
  return [...lines.values()].sort((a, b) => b.count - a.count || (a.actor < b.actor ? -1 : 1))
}

function add(lines: Map<string, DigestLine>, { actor, action, target, ts }: AuditRow): void {
  const key = JSON.stringify([actor, action])
  const line = lines.get(key) ?? { actor, action, count: 0, targets: [], last: ts }
  line.count += 1
  if (line.targets.length < TARGETS_NAMED && !line.targets.includes(target)) line.targets.push(target)
  lines.set(key, line)
}

function today(): string {
  return new Date().toISOString().slice(0, 10)
}

/** The begin of a day. */
function day(text: string): string {
  const at = /^\d{4}-\d\d-\d\d$/.test(text) ? parseInstant(`${text}T00:00:00Z`) : null
  if (at === null) throw new InvalidArgumentError('It must be a day such as 2026-11-30.')
  return new Date(at).toISOString()
}
