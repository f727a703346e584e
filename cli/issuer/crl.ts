// `rollcall issuer crl …`: what the CRL of a trust anchor revokes, and where a newer one comes from.
import { readFile, stat } from 'node:fs/promises'
import { Argument, Command } from 'commander'
import type { CrlReceipt, IssuerCrl } from '../../client/issuers.ts'
import { fingerprintOf, issuerArgument } from '../certificate/argument.ts'
import { CommandFailed, fileFault, UsageError } from '../errors.ts'
import { type Format, printDocument } from '../output/format.ts'
import { printReceipt } from '../output/receipt.ts'
import { type ServiceFlags, withService, withServiceOptions } from '../service-connection.ts'

type Flags = ServiceFlags & { output: Format }

const CRL_BYTES_MAX = 22 * 1024 * 1024

export function issuerCrlCommand(): Command {
  const crl = new Command('crl').summary('what its CRL revokes').description('CRLs of trust anchors.')
  crl.addCommand(statusCommand())
  crl.addCommand(importCommand())
  crl.addCommand(sourceCommand())
  crl.addCommand(refreshCommand())
  return crl
}

function statusCommand(): Command {
  return withServiceOptions(new Command('status'))
    .summary('show which CRL is in force')
    .addArgument(issuerArgument())
    .action(async (named: string, flags: Flags) => {
      const id = await fingerprintOf(named)
      const status = await withService(flags, client => client.issuers.crl(id))
      await printDocument(shown(status, flags), flags.output)
      if (status.stale)
        process.stderr.write('warning: it is stale: it stays in force, import or fetch a newer one\n')
    })
}

function importCommand(): Command {
  return withServiceOptions(new Command('import'))
    .summary('put a CRL in force')
    .description(
      'Puts a complete CRL of a trust anchor in force: what it lists is refused and cut, what it lists no more is\n' +
        'admitted again. One that is older than the one in force is refused.',
    )
    .addArgument(issuerArgument())
    .addArgument(new Argument('<file>', 'the CRL, DER or PEM'))
    .action(async (named: string, file: string, flags: Flags) => {
      const [id, crl] = [await fingerprintOf(named), await readCrl(file)]
      await say(await withService(flags, client => client.issuers.importCrl(id, crl)), flags)
    })
}

function refreshCommand(): Command {
  return withServiceOptions(new Command('refresh'))
    .summary('fetch the CRL from its source now')
    .addArgument(issuerArgument())
    .action(async (named: string, flags: Flags) => {
      const id = await fingerprintOf(named)
      await say(await withService(flags, client => client.issuers.refreshCrl(id)), flags)
    })
}

function sourceCommand(): Command {
  return withServiceOptions(new Command('source'))
    .summary('say from where newer CRLs are fetched')
    .addArgument(issuerArgument())
    .addArgument(new Argument('[url]', 'http or https URL of a public address'))
    .option('--none', 'fetch from nowhere')
    .action(async (named: string, url: string | undefined, flags: Flags & { none?: true }) => {
      if ((url === undefined) === (flags.none === undefined)) {
        throw new UsageError('it is not clear what the source is to be', 'name a URL, or --none')
      }
      const id = await fingerprintOf(named)
      const status = await withService(flags, client => client.issuers.crlSource(id, url ?? null))
      await printDocument(shown(status, flags), flags.output)
    })
}

async function say(imported: CrlReceipt, flags: Flags): Promise<void> {
  await printDocument(shown(imported, flags), flags.output)
  const entries = imported.crl?.entries ?? 0
  if (imported.receipt === null)
    process.stderr.write('the CRL is in force; it changes nothing for any certificate\n')
  else
    printReceipt(`a CRL with ${entries} ${entries === 1 ? 'entry' : 'entries'} is in force`, imported.receipt)
}

/** A table shows a document's own fields. */
function shown(status: IssuerCrl, { output }: Flags): Record<string, unknown> {
  if (output !== 'table') return status
  const { issuerId, stale, crl, source } = status
  return { issuerId, ...(crl ?? { crl: null }), stale, source: source.url, ...withoutUrl(source) }
}

function withoutUrl({ checkedAt, error }: IssuerCrl['source']): Record<string, unknown> {
  return checkedAt === null ? {} : { checkedAt, error }
}

async function readCrl(file: string): Promise<Buffer> {
  try {
    if ((await stat(file)).size <= CRL_BYTES_MAX) return await readFile(file)
  } catch (error) {
    throw fileFault('the CRL cannot be read', file, error)
  }
  throw new CommandFailed(`${file} is too long to be a CRL`, 'name a file of at most 16 MiB of DER')
}
