// `rollcall claim …`: certificates for a batch of devices, which may enroll and nothing else.
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Argument, Command } from 'commander'
import type { Claim, NewClaim } from '../../client/enrollment.ts'
import { makeDirectory, writeNew, writeWhole } from '../enrollment/enrollment.ts'
import { makeKey, makeRequest } from '../enrollment/key-pair.ts'
import { CommandFailed, fileFault } from '../errors.ts'
import { wholeNumber } from '../options.ts'
import { atMost, type Column, type Format, printDocument, printPages } from '../output/format.ts'
import { programName } from '../program-name.ts'
import { type ServiceFlags, withService, withServiceOptions } from '../service-connection.ts'

type Flags = ServiceFlags & { output: Format }
type CreateFlags = Flags & {
  quota: number
  out: string
  group?: string
  allow?: string
  days?: number
  approval?: boolean
  acme?: boolean
}

const ALLOWED_MAX = 400

const columns: readonly Column<Claim>[] = [
  { heading: 'ID', cell: claim => claim.id },
  { heading: 'NAME', cell: claim => claim.name },
  { heading: 'STATUS', cell: claim => claim.status },
  { heading: 'GROUP', cell: claim => claim.group },
  { heading: 'CLAIMED', cell: claim => `${claim.claimed} of ${claim.quota}` },
  { heading: 'EXPIRES', cell: claim => claim.notAfter },
  { heading: 'BY', cell: claim => claim.createdBy },
]

export function claimCommand(): Command {
  const claim = new Command('claim').description(
    'Certificates for a batch of devices, which may only enroll.',
  )
  claim.addCommand(createCommand())
  claim.addCommand(listCommand())
  claim.addCommand(revokeCommand())
  return claim
}

function createCommand(): Command {
  return withServiceOptions(new Command('create'))
    .summary('make a certificate that may enroll so many devices')
    .description(
      'Makes a key here, has its claim certificate signed, and writes claim.key (0600), claim.crt (leaf and chain) and\n' +
        'ca.crt into a directory, to be put on every device of the batch: device enroll --claim DIR.',
    )
    .addArgument(new Argument('<name>', 'what the batch is called'))
    .requiredOption('--quota <n>', 'how many devices it may enroll', wholeNumber(1, 1_000_000))
    .requiredOption('--out <dir>', 'directory for key, certificate and CA')
    .option('--group <name>', 'the group its devices will be in')
    .option('--allow <file>', `the only devices that may be claimed: one ID a line, at most ${ALLOWED_MAX}`)
    .option('--days <n>', 'days until it expires (default: 30)', wholeNumber(1, 30))
    .option('--approval', 'let the certificates it gets wait until an operator approves them')
    .option('--acme', 'for clients of ACME: show a key ID, and write its HMAC key to acme.hmac (0600)')
    .action(async (name: string, flags: CreateFlags) => {
      const at = (file: string) => join(flags.out, file)
      const allow = flags.allow === undefined ? undefined : await namesIn(flags.allow)
      await makeDirectory(flags.out)
      await assertFree(at('claim.key'))
      const key = await makeKey('p256')
      const csr = await makeRequest(name, key, 'p256')
      const order: NewClaim = {
        name,
        csr,
        quota: flags.quota,
        ...(flags.group === undefined ? {} : { group: flags.group }),
        ...(allow === undefined ? {} : { allow }),
        ...(flags.days === undefined ? {} : { days: flags.days }),
        ...(flags.approval === true ? { approval: true } : {}),
        ...(flags.acme === true ? { acme: true } : {}),
      }
      const made = await withService(flags, client => client.claims.create(order))
      const { certificate, chain, ca, acme, ...shown } = made
      // After a lost answer the key of the claim is lost: the claim can be revoked, and another made.
      await writeNew(at('claim.key'), key, 0o600)
      if (ca !== null) await writeWhole(at('ca.crt'), ca, 0o644)
      await writeWhole(at('claim.crt'), [certificate ?? '', ...chain].join(''), 0o644)
      if (acme !== undefined) await writeNew(at('acme.hmac'), `${acme.hmacKey}\n`, 0o600)
      await printDocument(acme === undefined ? shown : { ...shown, kid: acme.kid }, flags.output)
    })
}

function listCommand(): Command {
  return withServiceOptions(new Command('list'))
    .summary('list claims')
    .option('--limit <n>', 'at most so many', wholeNumber(1, 10_000_000))
    .action(async ({ limit, ...flags }: Flags & { limit?: number }) => {
      await withService(flags, async client => {
        const pages = client.claims.pages({ limit: Math.min(limit ?? 500, 500) })
        const count = await printPages(atMost(pages, limit), columns, flags.output)
        if (count === 0) {
          process.stderr.write(
            `there is none; make one: ${programName()} claim create NAME --quota N --out DIR\n`,
          )
        }
      })
    })
}

function revokeCommand(): Command {
  return withServiceOptions(new Command('revoke'))
    .summary('end a claim: it enrolls no more devices; those that it enrolled stay')
    .addArgument(new Argument('<id>', 'ID of the claim, as list shows it'))
    .action(async (id: string, flags: Flags) => {
      const revoked = await withService(flags, client => client.claims.revoke(id))
      const { certificate: _, chain: __, ca: ___, ...shown } = revoked
      await printDocument(shown, flags.output)
    })
}

async function assertFree(file: string): Promise<void> {
  if (await stat(file).catch(() => null)) {
    throw new CommandFailed(
      `${file} exists already`,
      'name another directory with --out; a key is never overwritten',
    )
  }
}

async function namesIn(file: string): Promise<string[]> {
  const text = await readFile(file, 'utf8').catch(error => {
    throw fileFault('the list of devices cannot be read', file, error)
  })
  const names = [...new Set(text.split(/\s+/).filter(Boolean))]
  if (names.length >= 1 && names.length <= ALLOWED_MAX) return names
  throw new CommandFailed(
    `${file} names ${names.length} devices: a claim takes 1 to ${ALLOWED_MAX}`,
    'make several claims, or one that names none and a quota',
  )
}
