// `rollcall issuer tpm`: whether endorsement keys of TPMs that this CA certified let devices enroll.
import { Argument, Command, Option } from 'commander'
import type { TpmAnchor } from '../../client/tpm.ts'
import { fingerprintOf } from '../certificate/argument.ts'
import { wholeNumber } from '../options.ts'
import { type Format, printDocument } from '../output/format.ts'
import { type ServiceFlags, withService, withServiceOptions } from '../service-connection.ts'

type Mode = TpmAnchor['mode']
type Flags = ServiceFlags & { output: Format; mode?: Mode; group?: string; max?: number }

export function issuerTpmCommand(): Command {
  return withServiceOptions(new Command('tpm'))
    .summary('say whether it vouches for TPMs, as a manufacturer of them')
    .description(
      'off: it does not. pending: a device with a TPM of this manufacturer gets a certificate after approval. active: at once,\n' +
        'whatever its buyer. Without --mode it shows what is set. No endorsement certificate is admitted to the broker by this.',
    )
    .addArgument(new Argument('<issuer>', 'its fingerprint, or a file with the CA certificate'))
    .addOption(
      new Option('--mode <mode>', 'whether it vouches').choices(['off', 'pending', 'active'] as Mode[]),
    )
    .option('--group <name>', 'the group that new devices will be in')
    .option('--max <n>', 'at most so many in all', wholeNumber(1, 10_000_000))
    .action(async (named: string, { mode, group, max, ...flags }: Flags) => {
      const id = await fingerprintOf(named)
      const settings = {
        ...(group === undefined ? {} : { group }),
        ...(max === undefined ? {} : { devicesMax: max }),
      }
      const shown = await withService(flags, async ({ tpmAnchor }) => {
        if (mode !== undefined) return tpmAnchor.set(id, { mode, ...settings })
        const before = await tpmAnchor.show(id)
        return Object.keys(settings).length === 0
          ? before
          : tpmAnchor.set(id, { mode: before.mode, ...settings })
      })
      await printDocument(shown, flags.output)
    })
}
