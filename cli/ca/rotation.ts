// `rollcall ca status|rotate|retire`: handing over from one issuing CA to the next. With an offline root the signature is
// made here, beside the root's file: its key is never sent anywhere.
import { Command, Option } from 'commander'
import type { CaRecord } from '../../client/ca.ts'
import type { Client } from '../../client/index.ts'
import { toPem } from '../../pki/pem.ts'
import { readPassphrase } from '../../provisioning/ca/ca-keys.ts'
import { signIssuing } from '../../provisioning/ca/issuing-certificate.ts'
import { readRoot } from '../../provisioning/ca/key-ceremony.ts'
import { signerOf } from '../../provisioning/ca/signer.ts'
import { readCsr } from '../../provisioning/x509/csr.ts'
import { CommandFailed, UsageError } from '../errors.ts'
import { durationSeconds } from '../options.ts'
import { type Column, type Format, printDocument, printPages } from '../output/format.ts'
import { printReceipt } from '../output/receipt.ts'
import { type ServiceFlags, withService, withServiceOptions } from '../service-connection.ts'

type Flags = ServiceFlags & { output: Format }
type RotateFlags = Flags & { status?: true; over?: number; rootKey?: string; rootPassphraseFile?: string }
type Issuing = CaRecord['issuing'][number]

const columns: readonly Column<Issuing>[] = [
  { heading: 'ID', cell: ca => ca.id },
  { heading: 'NAME', cell: ca => ca.name },
  { heading: 'STATE', cell: stateOf },
  { heading: 'DEVICES', cell: ca => ca.devices },
  { heading: 'EXPIRES', cell: ca => ca.notAfter },
]

export function statusCommand(): Command {
  return withServiceOptions(new Command('status'))
    .summary('show how root and issuing CAs stand, and how many devices rely on each')
    .action((flags: Flags) => withService(flags, async client => show(await client.ca.show(), flags.output)))
}

export function rotateCommand(): Command {
  return withServiceOptions(new Command('rotate'))
    .summary('hand over to another issuing CA')
    .description(
      'Makes another issuing CA, signed by the root, the one that issues. Certificates of the former stay valid; its devices are\n' +
        'told to renew one after the other, over --over. When none is left: rollcall ca retire ID.',
    )
    .addOption(
      new Option('--status', 'show how far it is, change nothing').conflicts([
        'over',
        'rootKey',
        'rootPassphraseFile',
      ]),
    )
    .option(
      '--over <duration>',
      'how long devices are told to renew, such as 12h or 7d (default: 7d)',
      durationSeconds,
    )
    .option('--root-key <file>', 'what rollcall ca export-root wrote, where the key of the root is offline')
    .option('--root-passphrase-file <file>', 'file with the passphrase of that file')
    .action((flags: RotateFlags) =>
      withService(flags, async client => {
        const record = flags.status ? await client.ca.show() : await rotate(client, flags)
        await show(record, flags.output)
        printRotationProgress(record)
      }),
    )
}

export function retireCommand(): Command {
  return withServiceOptions(new Command('retire'))
    .summary('end a former issuing CA, once no device relies on it')
    .argument('<id>', 'ID of the issuing CA, as rollcall ca status shows it')
    .option('--force', 'also where devices rely on it: they are cut, and refused from then on', false)
    .action((id: string, flags: Flags & { force: boolean }) =>
      withService(flags, async client => {
        const receipt = await client.ca.retire(id, { force: flags.force })
        await printDocument(receipt, flags.output)
        printReceipt(`issuing CA ${id.slice(0, 16)}… is retired`, receipt)
      }),
    )
}

async function rotate(client: Client, flags: RotateFlags): Promise<CaRecord> {
  const spread = flags.over === undefined ? {} : { spreadSeconds: flags.over }
  if (flags.rootKey === undefined) return client.ca.rotate(spread)
  if (flags.rootPassphraseFile === undefined) {
    throw new UsageError('the file of the root is encrypted', 'give --root-passphrase-file FILE too')
  }
  const root = readOffline(flags.rootKey, flags.rootPassphraseFile)
  const { csr, name } = await client.ca.request()
  const reading = await readCsr(csr)
  if (!reading.accepted)
    throw new CommandFailed('the service gave no request that can be signed', 'look into its log')
  const { spki } = reading.key
  const signer = signerOf(root.key)
  const der = await signIssuing({ certificate: root.certificate, signer }, { spki, name, now: Date.now() })
  return client.ca.rotate({ ...spread, certificate: toPem(der, 'CERTIFICATE') })
}

function readOffline(file: string, passphraseFile: string): ReturnType<typeof readRoot> {
  try {
    return readRoot(file, readPassphrase(passphraseFile))
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause)
    throw new CommandFailed(message, 'name the file that rollcall ca export-root wrote, and its passphrase', {
      cause,
    })
  }
}

async function show(record: CaRecord, format: Format): Promise<void> {
  if (format !== 'table') return printDocument(record, format)
  const { root, statusUrl, keysEncrypted } = record
  await printDocument(
    {
      root: root.id,
      rootKey: root.keyHere ? 'in the data directory' : 'offline',
      keys: keysEncrypted ? 'encrypted' : 'in the clear',
      status: statusUrl,
    },
    format,
  )
  process.stdout.write('\n')
  async function* pages() {
    yield record.issuing
  }
  await printPages(pages(), columns, format)
}

function stateOf({ current, enabled, keyHere }: Issuing): string {
  if (!enabled) return 'retired'
  if (!current) return 'former'
  return keyHere ? 'issues' : 'issues, key missing here'
}

/** In words, on stderr: what is left to wait for. */
function printRotationProgress({ issuing }: CaRecord): void {
  const current = issuing.find(ca => ca.current)
  for (const { id, name, devices, enabled } of issuing.filter(ca => !ca.current && ca.enabled)) {
    const next =
      devices > 0
        ? `${devices} ${devices === 1 ? 'device still relies' : 'devices still rely'} on it; the last is told to renew at ${current?.allToldAt ?? '-'}`
        : `no device relies on it any more: rollcall ca retire ${id}`
    if (enabled) process.stderr.write(`${name}: ${next}\n`)
  }
}
