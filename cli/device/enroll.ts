// `rollcall device enroll`: a key, and its certificate by an operator's hand, by a one-time token or by a claim.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Argument, Command, Option } from 'commander'
import { ApiProblem, type Client, createEnrollmentClient, type EnrollmentClient } from '../../client/index.ts'
import type { IssuedCertificate } from '../../client/types.ts'
import type { Certify } from '../enrollment/enrollment.ts'
import { CommandFailed, fileFault, printable } from '../errors.ts'
import { wholeNumber } from '../options.ts'
import { type Format, printDocument } from '../output/format.ts'
import { programName } from '../program-name.ts'
import {
  checkedUrl,
  findService,
  type ServiceFlags,
  withService,
  withServiceOptions,
} from '../service-connection.ts'

type Flags = ServiceFlags & { output: Format }

export function enrollCommand(): Command {
  return withServiceOptions(new Command('enroll'))
    .summary('issue a device its certificate')
    .description(
      'Makes a key here, has its certificate issued, and writes device.key (0600), device.crt (leaf and chain) and\n' +
        'ca.crt into a directory. With --csr the key stays on the device, and --out names one file.\n' +
        'The key is kept before the request is sent: after a lost answer, the same command again uses it.\n' +
        'On the device itself, --token-file may name a one-time enrollment token instead of an API token, or --claim the\n' +
        'directory of a claim.',
    )
    .addArgument(new Argument('<id>', 'device ID'))
    .requiredOption(
      '--out <path>',
      'directory for key, certificate and CA; with --csr the file for the certificate',
    )
    .addOption(
      new Option('--key-type <type>', 'kind of key to make')
        .choices(['p256', 'p384', 'ed25519', 'rsa2048', 'ml-dsa-44', 'ml-dsa-65', 'ml-dsa-87'])
        .default('p256'),
    )
    .addOption(
      new Option('--csr <file>', 'certificate request (PKCS #10, PEM) made elsewhere').conflicts('keyType'),
    )
    .option('--days <n>', 'days until the certificate expires (default: 90)', wholeNumber(1, 825))
    .addOption(
      new Option(
        '--claim <dir>',
        'enroll with the claim in this directory (claim.crt, claim.key, ca.crt)',
      ).conflicts(['tokenFile', 'days']),
    )
    .action(async (id: string, flags: EnrollFlags) => {
      const { enrollInto, enrollRequest } = await import('../enrollment/enrollment.ts')
      const days = flags.days === undefined ? {} : { days: flags.days }
      const enrolledBy = (certify: Certify) =>
        flags.csr === undefined
          ? enrollInto(certify, id, { directory: flags.out, keyType: flags.keyType })
          : enrollRequest(certify, { csrFile: flags.csr, certificateFile: flags.out })
      const { issued, files, keyReused } = await (flags.claim === undefined
        ? withService(flags, client =>
            enrolledBy(csr =>
              client.enrolls ? enrolledItself(client, id, csr) : client.devices.enroll(id, { csr, ...days }),
            ),
          )
        : withClaim(flags.claim, flags, client => enrolledBy(csr => enrolledItself(client, id, csr)))
      ).catch(error => {
        throw unknownDevice(error, id)
      })
      const { certificate: _, chain: __, ca: ___, ...facts } = issued
      const { fingerprint, serialNumber, keyType, notAfter } = facts
      const short = { deviceId: id, fingerprint, serialNumber, keyType, notAfter, ...files }
      await printDocument(flags.output === 'table' ? short : { ...facts, files }, flags.output)
      if (keyReused)
        process.stderr.write(
          `the key in ${files.key} was there from an enrollment that did not finish, and was used\n`,
        )
    })
}

/** By a one-time token or a claim: run again after a lost answer or an approval, it uses the same key. */
async function enrolledItself(
  client: Pick<Client, 'enroll'>,
  deviceId: string,
  csr: string,
): Promise<IssuedCertificate> {
  const answer = await client.enroll({ csr, deviceId })
  if ('certificate' in answer) return answer
  throw new CommandFailed(
    `the enrollment waits for an operator to approve ${answer.fingerprint}`,
    'run the same command again once it is approved',
  )
}

async function withClaim<Result>(
  directory: string,
  flags: ServiceFlags,
  verb: (client: EnrollmentClient) => Promise<Result>,
): Promise<Result> {
  const read = (file: string) =>
    readFile(file, 'utf8').catch(error => {
      throw fileFault('the claim cannot be read', file, error)
    })
  const ca = flags.ca ?? join(directory, 'ca.crt')
  const { api } = findService({ ...flags, ca, tokenFile: '' })
  const identity = {
    certificate: await read(join(directory, 'claim.crt')),
    key: await read(join(directory, 'claim.key')),
  }
  const client = createEnrollmentClient({ api: checkedUrl(api), ca: await read(ca), identity })
  try {
    return await verb(client)
  } finally {
    client.close()
  }
}

type EnrollFlags = Flags & {
  out: string
  keyType: 'p256' | 'p384' | 'ed25519' | 'rsa2048' | 'ml-dsa-44' | 'ml-dsa-65' | 'ml-dsa-87'
  csr?: string
  days?: number
  claim?: string
}

function unknownDevice(error: unknown, id: string): unknown {
  if (!(error instanceof ApiProblem) || error.status !== 404) return error
  return new CommandFailed(
    `there is no device ${printable(id)} on the roll`,
    `add it first: ${programName()} device add ${printable(id)}`,
    { cause: error },
  )
}
