// `rollcall device endorsement-key`: the TPM that a device is: shown, put on record, or taken off.
import { createPublicKey } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { Argument, Command } from 'commander'
import { isFingerprint, spkiHashOf } from '../../pki/certificate-facts.ts'
import { fileFault, UsageError } from '../errors.ts'
import { type Format, printDocument } from '../output/format.ts'
import { type ServiceFlags, withService, withServiceOptions } from '../service-connection.ts'

type Flags = ServiceFlags & { output: Format; remove?: boolean }

const FILE_BYTES_MAX = 64 * 1024

export function endorsementKeyCommand(): Command {
  return withServiceOptions(new Command('endorsement-key'))
    .summary('show the TPM of a device, or put its endorsement key on record')
    .description(
      'A TPM with the endorsement key on record is the device, whatever its manufacturer: it enrolls by challenge and response.\n' +
        'Without a key it shows what is on record, and which certificates hold a key that the TPM proved.',
    )
    .addArgument(new Argument('<id>', 'device ID'))
    .addArgument(
      new Argument(
        '[key]',
        'SHA-256 of the public key in hex, or a file with the public key (PEM, DER) or its certificate',
      ),
    )
    .option('--remove', 'take it off the record: what it proved is attested no more')
    .action(async (id: string, key: string | undefined, { remove, ...flags }: Flags) => {
      if (remove === true && key !== undefined) throw new UsageError('give a key, or --remove')
      const hash = remove === true ? null : key === undefined ? undefined : await hashOf(key)
      const shown = await withService(flags, ({ devices }) =>
        hash === undefined ? devices.tpm(id) : devices.setEndorsementKey(id, hash),
      )
      await printDocument(shown, flags.output)
    })
}

async function hashOf(named: string): Promise<string> {
  if (isFingerprint(named)) return named
  const bytes = await readFile(named).catch(error => {
    throw fileFault('the endorsement key cannot be read', named, error)
  })
  const attempts = [
    () => createPublicKey(bytes),
    () => createPublicKey({ key: bytes, format: 'der', type: 'spki' }),
  ]
  if (bytes.length <= FILE_BYTES_MAX && !bytes.includes('PRIVATE KEY')) {
    for (const read of attempts) {
      try {
        return spkiHashOf(read())
      } catch {
        // The next form may be it.
      }
    }
  }
  throw new UsageError(
    `${named} holds neither a public key nor a certificate`,
    'tpm2_createek -c ek.ctx -G ecc -f pem -u ek.pem writes one',
  )
}
