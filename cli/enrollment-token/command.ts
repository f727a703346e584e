// `rollcall enrollment-token …`: one-time tokens with which a device enrolls itself.
import { Argument, Command, InvalidArgumentError, Option } from 'commander'
import type { CreatedEnrollmentToken, EnrollmentToken, NewEnrollmentToken } from '../../client/enrollment.ts'
import { writeNew } from '../enrollment/enrollment.ts'
import { UsageError } from '../errors.ts'
import { wholeNumber } from '../options.ts'
import { atMost, type Column, type Format, printDocument, printPages } from '../output/format.ts'
import { programName } from '../program-name.ts'
import { type ServiceFlags, withService, withServiceOptions } from '../service-connection.ts'

type Flags = ServiceFlags & { output: Format }
type CreateFlags = Flags & {
  device?: string
  group?: string
  lifetime?: number
  approval?: boolean
  cmp?: boolean
  acme?: boolean
  out?: string
}

const columns: readonly Column<EnrollmentToken>[] = [
  { heading: 'ID', cell: token => token.id },
  { heading: 'STATUS', cell: token => token.status },
  { heading: 'DEVICE', cell: token => token.deviceId ?? token.usedBy },
  { heading: 'GROUP', cell: token => token.group },
  { heading: 'ATTEMPTS', cell: token => token.attempts },
  { heading: 'EXPIRES', cell: token => token.expiresAt },
]

export function enrollmentTokenCommand(): Command {
  const token = new Command('enrollment-token').description('One-time tokens with which devices enroll.')
  token.addCommand(createCommand())
  token.addCommand(listCommand())
  token.addCommand(revokeCommand())
  return token
}

function createCommand(): Command {
  return withServiceOptions(new Command('create'))
    .summary('make a token for one device, or for a new device in a group')
    .description(
      'Makes a token that enrolls one device, once. It is shown now and never again; --out writes it to a file (0600)\n' +
        'instead, for `device enroll --token-file` and for curl.',
    )
    .addOption(new Option('--device <id>', 'for this device, which must be on the roll').conflicts('group'))
    .option('--group <name>', 'for a new device, which will be in this group')
    .option('--lifetime <time>', 'until it expires: 90s, 15m, 24h, at most 7d (default: 24h)', seconds)
    .option('--approval', 'let the certificate wait until an operator approves it')
    .option('--cmp', 'for a client of CMP: show a reference and a secret, which stand for the token')
    .addOption(
      new Option(
        '--acme',
        'for a client of ACME: show a key ID and an HMAC key, which stand for the token',
      ).conflicts('cmp'),
    )
    .option('--out <file>', 'write the token, the secret or the HMAC key there and not to stdout')
    .action(async (flags: CreateFlags) => {
      const order = orderOf(flags)
      const made = await withService(flags, client => client.enrollmentTokens.create(order))
      const { told, secret } = partsOf(made)
      if (flags.out === undefined) return printDocument({ ...told, ...secret }, flags.output)
      await writeNew(flags.out, `${Object.values(secret)[0]}\n`, 0o600)
      await printDocument(told, flags.output)
    })
}

/** What may be shown, and the one secret in it: the token, or what stands for it. */
function partsOf({ token, cmp, acme, ...shown }: CreatedEnrollmentToken) {
  if (cmp !== undefined)
    return { told: { ...shown, reference: cmp.reference }, secret: { secret: cmp.secret } }
  if (acme !== undefined) return { told: { ...shown, kid: acme.kid }, secret: { hmacKey: acme.hmacKey } }
  return { told: shown, secret: { token } }
}

function orderOf({ device, group, lifetime, approval, cmp, acme }: CreateFlags): NewEnrollmentToken {
  const bound = device !== undefined ? { deviceId: device } : group !== undefined ? { group } : null
  if (bound === null)
    throw new UsageError('the token needs a device or a group: give --device ID or --group NAME')
  return {
    ...bound,
    ...(lifetime === undefined ? {} : { lifetimeSeconds: lifetime }),
    ...(approval === true ? { approval } : {}),
    ...(cmp === true ? { cmp } : {}),
    ...(acme === true ? { acme } : {}),
  }
}

function listCommand(): Command {
  return withServiceOptions(new Command('list'))
    .summary('list tokens, without the tokens themselves')
    .option('--limit <n>', 'at most so many', wholeNumber(1, 10_000_000))
    .action(async ({ limit, ...flags }: Flags & { limit?: number }) => {
      await withService(flags, async client => {
        const pages = client.enrollmentTokens.pages({ limit: Math.min(limit ?? 500, 500) })
        const count = await printPages(atMost(pages, limit), columns, flags.output)
        if (count === 0) {
          process.stderr.write(
            `there is none; make one: ${programName()} enrollment-token create --device ID\n`,
          )
        }
      })
    })
}

function revokeCommand(): Command {
  return withServiceOptions(new Command('revoke'))
    .summary('let a token open nothing any more; what it got stays')
    .addArgument(new Argument('<id>', 'ID of the token, as list shows it'))
    .action(async (id: string, flags: Flags) => {
      await printDocument(
        await withService(flags, client => client.enrollmentTokens.revoke(id)),
        flags.output,
      )
    })
}

const units: Record<string, number> = { s: 1, m: 60, h: 3_600, d: 86_400 }

/** Whole seconds of a time such as 15m. */
function seconds(text: string): number {
  const [, count = '', unit = ''] = /^(\d{1,7})([smhd])$/.exec(text) ?? []
  const value = Number(count) * (units[unit] ?? Number.NaN)
  if (value >= 1 && value <= 7 * 86_400) return value
  throw new InvalidArgumentError('It must be a time such as 90s, 15m, 24h or 7d, and at most 7d.')
}
