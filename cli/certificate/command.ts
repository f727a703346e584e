// `rollcall certificate …`: looking at certificates, holding, approving and revoking them.
import { Argument, Command, Option } from 'commander'
import { ApiProblem, type Client } from '../../client/index.ts'
import type { Certificate, CertificateFilter, CertificateReceipt } from '../../client/types.ts'
import { keyName } from '../../pki/key-policy.ts'
import { revocationReasons } from '../../pki/revocation-reason.ts'
import { CommandFailed } from '../errors.ts'
import { wholeNumber } from '../options.ts'
import { atMost, type Column, type Format, printDocument, printPages, readAhead } from '../output/format.ts'
import { printAdmittingCertificates, printReceipt } from '../output/receipt.ts'
import { programName } from '../program-name.ts'
import { type ServiceFlags, withService, withServiceOptions } from '../service-connection.ts'
import { fingerprintOf, readCertificateFile } from './argument.ts'

type Flags = ServiceFlags & { output: Format }

const columns: readonly Column<Certificate>[] = [
  { heading: 'FINGERPRINT', cell: certificate => certificate.fingerprint },
  { heading: 'DEVICE', cell: certificate => certificate.deviceId },
  { heading: 'STATUS', cell: certificate => certificate.status },
  { heading: 'KEY', cell: certificate => keyName(certificate.keyType) },
  { heading: 'EXPIRES', cell: certificate => certificate.notAfter },
  { heading: 'FIRST USED', cell: certificate => certificate.firstUsedAt },
]

const decisionColumns: readonly Column<CertificateReceipt>[] = [
  { heading: 'FINGERPRINT', cell: receipt => receipt.fingerprint },
  { heading: 'STATUS', cell: receipt => receipt.status },
]

export function certificateCommand(): Command {
  const certificate = new Command('certificate').description('Certificates on the roll.')
  certificate.addCommand(listCommand())
  certificate.addCommand(showCommand())
  certificate.addCommand(registerCommand())
  certificate.addCommand(revokeCommand())
  for (const verb of ['suspend', 'activate'] as const) certificate.addCommand(moveCommand(verb))
  for (const verb of ['approve', 'reject'] as const) certificate.addCommand(decideCommand(verb))
  return certificate
}

function listCommand(): Command {
  return withServiceOptions(new Command('list'))
    .summary('list certificates')
    .option('--device <id>', 'only those of this device')
    .option('--status <status>', 'only those with this status')
    .option('--limit <n>', 'at most so many', wholeNumber(1, 10_000_000))
    .action(
      async ({
        device,
        status,
        limit,
        ...flags
      }: Flags & { device?: string; status?: string; limit?: number }) => {
        await withService(flags, async client => {
          const filter: CertificateFilter = { limit: Math.min(limit ?? 500, 500) }
          if (device !== undefined) filter.deviceId = device
          if (status !== undefined) filter.status = status
          const count = await printPages(
            readAhead(atMost(client.certificates.pages(filter), limit)),
            columns,
            flags.output,
          )
          if (count === 0)
            process.stderr.write(
              `no certificate fits; enroll a device: ${programName()} device enroll ID --out DIR\n`,
            )
        })
      },
    )
}

function showCommand(): Command {
  return withServiceOptions(new Command('show'))
    .summary('show one certificate')
    .addArgument(certificateArgument())
    .action(async (named: string, flags: Flags) => {
      const fingerprint = await fingerprintOf(named)
      const { certificate, chain, ca, ...facts } = await withService(flags, client =>
        client.certificates.show(fingerprint),
      )
      await printDocument(
        flags.output === 'table' ? facts : { ...facts, certificate, chain, ca },
        flags.output,
      )
    })
}

function registerCommand(): Command {
  return withServiceOptions(new Command('register'))
    .summary('put a certificate of another CA on the roll')
    .description(
      'Registers a certificate of another CA for a device: through its chain, if a CA in it is a trust anchor,\n' +
        'or pinned: trusted as exactly this certificate.',
    )
    .addArgument(new Argument('<id>', 'device ID'))
    .addArgument(new Argument('<file>', 'file with the certificate, PEM or DER'))
    .option('--pinned', 'trust exactly this certificate, whatever its chain')
    .action(async (id: string, file: string, flags: Flags & { pinned?: true }) => {
      const pem = await readCertificateFile(file)
      const trust = flags.pinned ? 'pinned' : 'chained'
      const registered = await withService(flags, client =>
        client.devices.register(id, { certificate: pem, trust }),
      )
      const { certificate: _, chain: __, ca: ___, ...facts } = registered
      await printDocument(flags.output === 'table' ? facts : registered, flags.output)
    })
}

function revokeCommand(): Command {
  return withServiceOptions(new Command('revoke'))
    .summary('end a certificate for good and cut the sessions that use it')
    .description(
      'Revokes a certificate: its sessions are cut, and it is never admitted again. Final.\n' +
        'For keyCompromise its key is revoked: every certificate of the key, and every one that was obtained with it.',
    )
    .addArgument(certificateArgument())
    .addOption(
      new Option('--reason <reason>', 'why (RFC 5280)').choices(revocationReasons).default('unspecified'),
    )
    .action(async (named: string, flags: Flags & { reason: string }) => {
      const fingerprint = await fingerprintOf(named)
      const receipt = await withService(flags, client =>
        client.certificates.revoke(fingerprint, { reason: flags.reason }),
      )
      await printDocument(receipt, flags.output)
      const others = receipt.revoked.length - 1
      const besides = others === 0 ? '' : `, and ${others} more with it`
      printReceipt(`certificate ${fingerprint.slice(0, 16)}… is ${receipt.status}${besides}`, receipt)
      printAdmittingCertificates(receipt.stillAdmitting)
    })
}

const moves = {
  suspend: 'hold it: cut the sessions that use it and refuse it until it is activated again',
  activate: 'let a suspended certificate back in',
  approve: 'admit certificates that wait for approval',
  reject: 'never admit certificates that wait for approval',
} as const

function moveCommand(verb: 'suspend' | 'activate'): Command {
  return withServiceOptions(new Command(verb))
    .summary(moves[verb])
    .addArgument(certificateArgument())
    .action(async (named: string, flags: Flags) => {
      const fingerprint = await fingerprintOf(named)
      const receipt = await withService(flags, client => client.certificates[verb](fingerprint))
      await printDocument(receipt, flags.output)
      printReceipt(`certificate ${fingerprint.slice(0, 16)}… is ${receipt.status}`, receipt)
      if (verb === 'suspend') printAdmittingCertificates(receipt.stillAdmitting)
    })
}

/** One after the other: those that cannot be decided are named, and do not keep the rest waiting. */
function decideCommand(verb: 'approve' | 'reject'): Command {
  return withServiceOptions(new Command(verb))
    .summary(moves[verb])
    .addArgument(
      new Argument('<fingerprints...>', 'SHA-256 fingerprints in hex, or files with the certificates'),
    )
    .action(async (named: string[], flags: Flags) => {
      const fingerprints = await Promise.all(named.map(fingerprintOf))
      const failures: string[] = []
      async function* decided(client: Client): AsyncGenerator<CertificateReceipt[]> {
        for (const fingerprint of fingerprints) {
          try {
            const receipt = await client.certificates[verb](fingerprint)
            printReceipt(`certificate ${fingerprint.slice(0, 16)}… is ${receipt.status}`, receipt)
            yield [receipt]
          } catch (error) {
            if (!(error instanceof ApiProblem) || fingerprints.length === 1) throw error
            failures.push(`${fingerprint}: ${error.message}`)
          }
        }
      }
      await withService(flags, client => printPages(decided(client), decisionColumns, flags.output))
      if (failures.length === 0) return
      throw new CommandFailed(
        `${failures.length} of ${fingerprints.length} could not be decided: ${failures.join('; ')}`,
        `those that wait: ${programName()} certificate list --status pending`,
      )
    })
}

function certificateArgument(): Argument {
  return new Argument('<fingerprint>', 'SHA-256 fingerprint in hex, or a file with the certificate')
}
