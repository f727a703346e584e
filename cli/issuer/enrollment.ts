// `rollcall issuer enrollment`: whether devices of a manufacturer may enroll with the identity they were born with.
import { Argument, Command, Option } from 'commander'
import type { AnchorEnrollment } from '../../client/enrollment.ts'
import { fingerprintOf } from '../certificate/argument.ts'
import { wholeNumber } from '../options.ts'
import { type Format, printDocument } from '../output/format.ts'
import { type ServiceFlags, withService, withServiceOptions } from '../service-connection.ts'

type Flags = ServiceFlags & { output: Format }
type Mode = AnchorEnrollment['mode']
type SetFlags = Flags & { mode?: Mode; nameTemplate?: string; group?: string; max?: number }

export function issuerEnrollmentCommand(): Command {
  return withServiceOptions(new Command('enrollment'))
    .summary('say whether its devices may enroll with the identity they were born with (IDevID)')
    .description(
      'off: they may not. pending: what they get waits for approval. active: they get a certificate of this service.\n' +
        'Without --mode it shows what is set. No IDevID is admitted to the broker by this.',
    )
    .addArgument(new Argument('<issuer>', 'its fingerprint, or a file with the CA certificate'))
    .addOption(
      new Option('--mode <mode>', 'whether they may enroll').choices(['off', 'pending', 'active'] as Mode[]),
    )
    .option(
      '--name-template <text>',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the service fills them in
      'how they are named: literal parts and ${subject.serialNumber} (default), ${cn}, ${san.dns}, ${serial} …',
    )
    .option('--group <name>', 'the group they will be in')
    .option('--max <n>', 'at most so many in all', wholeNumber(1, 10_000_000))
    .action(async (named: string, { mode, nameTemplate, group, max, ...flags }: SetFlags) => {
      const id = await fingerprintOf(named)
      const settings = {
        ...(nameTemplate === undefined ? {} : { nameTemplate }),
        ...(group === undefined ? {} : { group }),
        ...(max === undefined ? {} : { devicesMax: max }),
      }
      const standing = await withService(flags, async ({ anchorEnrollment }) => {
        if (mode !== undefined) return anchorEnrollment.set(id, { mode, ...settings })
        const before = await anchorEnrollment.show(id)
        return Object.keys(settings).length === 0
          ? before
          : anchorEnrollment.set(id, { mode: before.mode, ...settings })
      })
      await printDocument(standing, flags.output)
    })
}
