// `rollcall audit …`: reading the log of changes over the API; verifying and exporting it from the registry itself.

import { setTimeout as wait } from 'node:timers/promises'
import { Command, Option } from 'commander'
import { ApiUnreachable, type Client } from '../../client/index.ts'
import type { AuditFilter, AuditRow, AuditVerification } from '../../client/types.ts'
import { actorKinds } from '../../db/audit-chain.ts'
import { parseInstant } from '../../pki/instant.ts'
import { dataPaths } from '../data-directory.ts'
import { CommandFailed, UsageError } from '../errors.ts'
import { collect, wholeNumber } from '../options.ts'
import {
  atMost,
  type Column,
  type Format,
  outputOption,
  printDocument,
  printPages,
  readAhead,
} from '../output/format.ts'
import { type ServiceFlags, withService, withServiceOptions } from '../service-connection.ts'
import { pastInstant } from '../when.ts'
import { acceptLog } from './accept.ts'
import { digestCommand } from './digest.ts'
import { exportRegistry, readAuditKeys, verifyFile, verifyRegistry } from './verify.ts'

type Flags = ServiceFlags & { output: Format }
type VerifyFlags = Flags & { key?: string[]; checkpoint?: string }
type SearchFlags = Flags &
  Pick<AuditFilter, 'actor' | 'actorKind' | 'by' | 'action' | 'target' | 'since' | 'until' | 'limit'>

const PAGE_ROWS = 500
const FOLLOW_MS = 1_000
/** Rows wait for a checkpoint a minute at most; if they wait longer, no service signs checkpoints. */
const UNSEALED_MS_MAX = 5 * 60_000

const columns: readonly Column<AuditRow>[] = [
  { heading: 'SEQ', cell: row => row.seq },
  { heading: 'TIME', cell: row => row.ts },
  { heading: 'ACTOR', cell: row => row.actor },
  { heading: 'KIND', cell: row => row.actorKind },
  { heading: 'ACTION', cell: row => row.action },
  { heading: 'TARGET', cell: row => row.target },
  { heading: 'OUTCOME', cell: row => (row.reason === null ? row.outcome : `${row.outcome} (${row.reason})`) },
  {
    heading: 'DETAIL',
    cell: row => (Object.keys(row.detail).length === 0 ? null : JSON.stringify(row.detail)),
  },
]

export function auditCommand(): Command {
  const audit = new Command('audit').description('The log of changes: append-only, chained by hash, signed.')
  for (const verb of [
    tailCommand(),
    searchCommand(),
    digestCommand(),
    verifyCommand(),
    exportCommand(),
    acceptCommand(),
  ])
    audit.addCommand(verb)
  return audit
}

function tailCommand(): Command {
  return withServiceOptions(new Command('tail'))
    .summary('show the last rows')
    .option('-f, --follow', 'go on with rows as they come, until interrupted')
    .option('-n, --rows <n>', 'how many', wholeNumber(0, 10_000), 20)
    .action(async ({ follow = false, rows, ...flags }: Flags & { follow?: boolean; rows: number }) => {
      if (follow && (flags.output === 'json' || flags.output === 'yaml'))
        throw new UsageError(`a ${flags.output} document has an end`, 'follow with -o jsonl, or as a table')
      await withService(flags, client => printPages(tail(client, rows, follow), columns, flags.output))
    })
}

async function* tail(client: Client, count: number, follow: boolean): AsyncGenerator<AuditRow[]> {
  const last: AuditRow[] = []
  const filter: AuditFilter = { limit: Math.max(1, Math.min(count, PAGE_ROWS)) }
  for await (const rows of atMost(client.audit.pages(filter), Math.max(count, 1))) last.push(...rows)
  let after = last[0]?.seq ?? 0
  yield last.slice(0, count).reverse()
  for (let told = false; follow; await wait(FOLLOW_MS)) {
    try {
      for await (const rows of client.audit.pages({ after, order: 'oldest', limit: PAGE_ROWS })) {
        yield rows
        after = rows.at(-1)?.seq ?? after
      }
      told = false
    } catch (error) {
      if (!(error instanceof ApiUnreachable)) throw error
      if (!told) process.stderr.write(`${error.message}; trying again\n`)
      told = true
    }
  }
}

function searchCommand(): Command {
  return withServiceOptions(new Command('search'))
    .alias('list')
    .summary('find rows, newest first')
    .option('--actor <name>', 'only by this actor, such as the name of a token')
    .addOption(new Option('--actor-kind <kind>', 'only by this kind of actor').choices([...actorKinds]))
    .addOption(
      new Option('--by <whom>', 'only by people, or only by machines').choices(['people', 'machines']),
    )
    .option(
      '--action <action>',
      'only this action, such as certificate.revoke, or device.* for all of a noun',
    )
    .option('--target <id>', 'only to this device, certificate, policy, …')
    .option(
      '--since <time>',
      'not before this time: RFC 3339, or so long ago: 90s, 15m, 24h, 7d',
      pastInstant,
    )
    .option('--until <time>', 'before this time', pastInstant)
    .option('--limit <n>', 'at most so many', wholeNumber(1, 10_000_000))
    .action(async (flags: SearchFlags) => {
      const filter: AuditFilter = { limit: Math.min(flags.limit ?? PAGE_ROWS, PAGE_ROWS) }
      for (const name of ['actor', 'action', 'target', 'since', 'until'] as const)
        if (flags[name] !== undefined) filter[name] = flags[name]
      if (flags.actorKind !== undefined) filter.actorKind = flags.actorKind
      if (flags.by !== undefined) filter.by = flags.by
      const count = await withService(flags, client =>
        printPages(readAhead(atMost(client.audit.pages(filter), flags.limit)), columns, flags.output),
      )
      if (count === 0) process.stderr.write('no row fits\n')
    })
}

function verifyCommand(): Command {
  return withServiceOptions(new Command('verify'), { keyElsewhere: true })
    .summary('tell whether the log is as it was written')
    .description(
      'Verifies the hash chain and the signed checkpoints, and names the first row that was changed, removed,\n' +
        'reordered or appended by hand. Reads the registry in --data itself; or FILE, exported or a backup; or asks\n' +
        'the service. Exit 1 where the log was tampered with.',
    )
    .argument('[file]', 'exported audit log, or a backup of the registry')
    .addOption(
      new Option(
        '--key <file>',
        'public key to trust, may be given several times; with --certificate the private key',
      ).argParser(collect),
    )
    .option(
      '--checkpoint <file>',
      'checkpoint kept elsewhere that the log must still hold; DIR/audit.checkpoint with --data where none is named',
    )
    .action(async (file: string | undefined, { key, checkpoint, ...flags }: VerifyFlags) => {
      const progress = progressLine()
      const verified = await verification(file, key, checkpoint, flags, progress.show)
      progress.clear()
      await printDocument(verified, flags.output)
      say(verified)
    })
}

async function verification(
  file: string | undefined,
  keyFiles: string[] | undefined,
  checkpoint: string | undefined,
  flags: Flags,
  progress: (rows: number) => void,
): Promise<AuditVerification> {
  if (file !== undefined) {
    if (flags.data !== undefined) throw new UsageError('name a file or --data, not both')
    if (keyFiles === undefined)
      throw new UsageError(
        '--key is missing',
        'name the public key, a copy of DIR/audit.pub: --key audit.pub',
      )
    const kept = checkpoint === undefined ? null : { file: checkpoint, needed: true }
    return verifyFile(file, readAuditKeys(keyFiles), progress, kept)
  }
  if (flags.data !== undefined) {
    const { registry, auditKey } = dataPaths(flags.data)
    const kept = { file: keptIn(flags.data, checkpoint), needed: checkpoint !== undefined }
    return verifyRegistry(registry, readAuditKeys(keyFiles ?? [auditKey]), progress, kept)
  }
  const [key, ...others] = keyFiles ?? []
  if (others.length > 0 || (key !== undefined && flags.certificate === undefined))
    throw new UsageError('--key is for a file, --data or --certificate: the service uses its own')
  return withService({ ...flags, ...(key === undefined ? {} : { key }) }, client =>
    client.audit.verification(),
  )
}

/** Where the newest checkpoint is kept: as told, as the service is set, or in the data directory. */
function keptIn(data: string, named: string | undefined): string {
  return named ?? (process.env['ROLLCALL_AUDIT_CHECKPOINT_FILE'] || dataPaths(data).auditCheckpoint)
}

function acceptCommand(): Command {
  return new Command('accept')
    .summary('go on with a log that is shorter than it was, as after a restore')
    .description(
      'For a restored registry, if a newer checkpoint of it is kept elsewhere. The restored log must be whole.\n' +
        'The acceptance, its actor and reason become a row of the log; the former checkpoint is set aside. Stop the service first.',
    )
    .requiredOption('--data <dir>', 'data directory')
    .requiredOption('--reason <text>', 'why it is shorter, for the row')
    .option(
      '--checkpoint <file>',
      'where the newest checkpoint is kept; DIR/audit.checkpoint where none is named',
    )
    .addOption(outputOption())
    .action(async (flags: { data: string; reason: string; checkpoint?: string; output: Format }) => {
      const accepted = await acceptLog(flags.data, keptIn(flags.data, flags.checkpoint), flags.reason)
      await printDocument(accepted, flags.output)
      if (!accepted.accepted)
        process.stderr.write('the log is as long as it was: there is nothing to accept\n')
    })
}

function say(verified: AuditVerification): void {
  const { fault, rows, checkpoints, unsealedRows, unsealedSince } = verified
  if (fault !== null) {
    throw new CommandFailed(
      `the audit log was tampered with: ${fault.message}`,
      'keep the registry as it is, and compare it with a backup or an export from before',
    )
  }
  const unsealed = unsealedRows === 0 ? '' : `; ${unsealedRows} since ${unsealedSince} not sealed yet`
  process.stderr.write(`intact: ${rows} rows, ${checkpoints} checkpoints${unsealed}\n`)
  if (unsealedSince !== null && Date.now() - (parseInstant(unsealedSince) ?? 0) > UNSEALED_MS_MAX)
    process.stderr.write(
      'warning: rows wait for a checkpoint for more than 5 minutes: the provisioning service does not run, or checkpoints were removed\n',
    )
}

function exportCommand(): Command {
  return new Command('export')
    .summary('write the log into a file that can be verified anywhere')
    .description(
      'Writes every row and checkpoint of a data directory into a new file (0600), one JSON object a line.',
    )
    .argument('<file>', 'file to make')
    .requiredOption('--data <dir>', 'data directory')
    .addOption(outputOption())
    .action(async (file: string, flags: { data: string; output: Format }) => {
      const { registry, auditKey } = dataPaths(flags.data)
      const counts = await exportRegistry(registry, file, auditKey)
      await printDocument({ file, ...counts }, flags.output)
    })
}

/** Shows the progress if stderr is a terminal. */
function progressLine(): { show(rows: number): void; clear(): void } {
  const { stderr } = process
  let shown = 0
  return {
    show(rows) {
      if (!stderr.isTTY || performance.now() - shown < 200) return
      shown = performance.now()
      stderr.write(`\r${rows.toLocaleString('en')} rows verified`)
    },
    clear: () => void (shown > 0 && stderr.write('\r\u001b[K')),
  }
}
