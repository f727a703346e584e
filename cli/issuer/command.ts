// `rollcall issuer …`: which issuers are trusted, and taking that trust away.
import { Argument, Command, Option } from 'commander'
import type { Arrival, AutoRegistration, RegistrationMode } from '../../client/issuers.ts'
import type { Issuer } from '../../client/types.ts'
import { fingerprintOf, issuerArgument, readCertificateFile } from '../certificate/argument.ts'
import { wholeNumber } from '../options.ts'
import { type Column, type Format, printDocument, printPages } from '../output/format.ts'
import { printReceipt } from '../output/receipt.ts'
import { programName } from '../program-name.ts'
import { type ServiceFlags, withService, withServiceOptions } from '../service-connection.ts'
import { issuerCrlCommand } from './crl.ts'
import { issuerEnrollmentCommand } from './enrollment.ts'
import { issuerTpmCommand } from './tpm.ts'

type Flags = ServiceFlags & { output: Format }

const columns: readonly Column<Issuer>[] = [
  { heading: 'ID', cell: issuer => issuer.id },
  { heading: 'NAME', cell: issuer => issuer.name },
  { heading: 'KIND', cell: issuer => issuer.kind },
  { heading: 'ENABLED', cell: issuer => (issuer.enabled ? 'yes' : 'no') },
  { heading: 'EXPIRES', cell: issuer => issuer.notAfter },
]

const arrivalColumns: readonly Column<Arrival>[] = [
  { heading: 'FINGERPRINT', cell: arrival => arrival.fingerprint },
  { heading: 'AT', cell: arrival => arrival.at },
  { heading: 'ADDRESS', cell: arrival => arrival.address },
  { heading: 'REASON', cell: arrival => arrival.reason ?? 'waiting' },
  { heading: 'DETAIL', cell: arrival => arrival.detail },
]

const verbs = {
  disable: 'refuse every certificate that it signed, and cut their sessions',
  enable: 'admit again what it signed',
} as const

export function issuerCommand(): Command {
  const issuer = new Command('issuer').description('Issuers whose certificates may be admitted.')
  issuer.addCommand(listCommand())
  issuer.addCommand(addCommand())
  issuer.addCommand(showCommand())
  issuer.addCommand(retireCommand())
  issuer.addCommand(removeCommand())
  issuer.addCommand(challengeCommand())
  issuer.addCommand(proveCommand())
  issuer.addCommand(registrationCommand())
  issuer.addCommand(profileCommand())
  issuer.addCommand(arrivalsCommand())
  issuer.addCommand(issuerEnrollmentCommand())
  issuer.addCommand(issuerTpmCommand())
  issuer.addCommand(issuerCrlCommand())
  for (const verb of ['disable', 'enable'] as const) issuer.addCommand(switchCommand(verb))
  return issuer
}

function listCommand(): Command {
  return withServiceOptions(new Command('list'))
    .summary('list issuers')
    .action(async (flags: Flags) => {
      await withService(flags, client => printPages(client.issuers.pages(), columns, flags.output))
    })
}

function addCommand(): Command {
  return withServiceOptions(new Command('add'))
    .summary('trust a CA of another organization')
    .description(
      'Registers a CA of another organization as trust anchor: the one that signs the devices, root or intermediate.\n' +
        'Brokers trust it at once; its devices still enter only where they are on the roll.\n' +
        'A CA that was renewed with the same name and key keeps its ID, its settings and its devices: the renewed certificate\n' +
        'takes the place of the one in force, which stays on record until it is retired.',
    )
    .addArgument(new Argument('<file>', 'file with the CA certificate, PEM or DER'))
    .option('--name <name>', 'what to call it (default: its subject)')
    .action(async (file: string, flags: Flags & { name?: string }) => {
      const certificate = await readCertificateFile(file)
      const named = flags.name === undefined ? {} : { name: flags.name }
      const added = await withService(flags, client => client.issuers.add({ certificate, ...named }))
      await printDocument(added, flags.output)
      const [, before] = added.certificates
      printReceipt(`${added.name} is a trust anchor until ${added.notAfter}`, added)
      if (before !== undefined)
        process.stderr.write(
          `it took the place of a certificate that ends at ${before.notAfter}: ${programName()} issuer retire ${before.fingerprint}\n`,
        )
    })
}

function retireCommand(): Command {
  return withServiceOptions(new Command('retire'))
    .summary('take off the record a certificate that a renewed one took the place of')
    .addArgument(new Argument('<certificate>', 'its fingerprint, or a file with it, PEM or DER'))
    .action(async (named: string, flags: Flags) => {
      const fingerprint = await fingerprintOf(named)
      const receipt = await withService(flags, client => client.issuers.retire(fingerprint, fingerprint))
      await printDocument(receipt, flags.output)
      printReceipt(`certificate ${fingerprint.slice(0, 16)}… is retired`, receipt)
    })
}

function removeCommand(): Command {
  return withServiceOptions(new Command('remove'))
    .summary('remove a trust anchor that nothing on record names')
    .description(
      'Refused while a certificate, a CA below, a device that enrolled under it or a policy names it: disable it then.',
    )
    .addArgument(issuerArgument())
    .action(async (named: string, flags: Flags) => {
      const id = await fingerprintOf(named)
      const receipt = await withService(flags, client => client.issuers.remove(id))
      await printDocument(receipt, flags.output)
      printReceipt(`issuer ${receipt.issuerId.slice(0, 16)}… is removed`, receipt)
    })
}

function showCommand(): Command {
  return withServiceOptions(new Command('show'))
    .summary('show one issuer')
    .addArgument(issuerArgument())
    .action(async (named: string, flags: Flags) => {
      const id = await fingerprintOf(named)
      const { certificate, ...facts } = await withService(flags, client => client.issuers.show(id))
      await printDocument(flags.output === 'table' ? facts : { ...facts, certificate }, flags.output)
    })
}

function challengeCommand(): Command {
  return withServiceOptions(new Command('challenge'))
    .summary('get a nonce for the CA to sign, to prove that you hold its key')
    .description(
      'Gives a nonce. Have the CA sign a certificate whose common name is the nonce, within a day:\n' +
        '  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout proof.key -out proof.csr -subj /CN=NONCE\n' +
        '  openssl x509 -req -in proof.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 1 -out proof.crt',
    )
    .addArgument(issuerArgument())
    .action(async (named: string, flags: Flags) => {
      const id = await fingerprintOf(named)
      await printDocument(await withService(flags, client => client.issuers.challenge(id)), flags.output)
      process.stderr.write(
        `have the CA sign a certificate with the nonce as common name, then: ${programName()} issuer prove ${id} FILE\n`,
      )
    })
}

function proveCommand(): Command {
  return withServiceOptions(new Command('prove'))
    .summary('hand in what the CA signed for the nonce')
    .addArgument(issuerArgument())
    .addArgument(new Argument('<file>', 'the certificate whose common name is the nonce'))
    .action(async (named: string, file: string, flags: Flags) => {
      const [id, certificate] = [await fingerprintOf(named), await readCertificateFile(file)]
      const proven = await withService(flags, client => client.issuers.prove(id, certificate))
      await printDocument(proven, flags.output)
      process.stderr.write('possession of the CA key is proven; no device needs this certificate any more\n')
    })
}

type RegistrationFlags = Flags & {
  mode: RegistrationMode
  nameTemplate?: string
  perMinute?: number
  max?: number
}

function registrationCommand(): Command {
  return withServiceOptions(new Command('registration'))
    .summary('say whether its devices may register themselves')
    .description(
      'off: a device that arrives unlisted is refused. pending: it is registered and waits for approval.\n' +
        'active: it is registered and admitted when it connects again. What is left out stays as it is.',
    )
    .addArgument(issuerArgument())
    .addOption(
      new Option('--mode <mode>', 'what becomes of a device that arrives unlisted')
        .choices(['off', 'pending', 'active'])
        .makeOptionMandatory(),
    )
    .option(
      '--name-template <text>',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the service fills them in
      'how it is named: literal parts and ${cn}, ${san.dns}, ${san.uri}, ${san.hwSerial}, ${serial}, ${fingerprint} …',
    )
    .option('--per-minute <n>', 'at most so many in a minute', wholeNumber(1, 6_000))
    .option('--max <n>', 'at most so many in all', wholeNumber(1, 10_000_000))
    .action(async (named: string, { mode, nameTemplate, perMinute, max, ...flags }: RegistrationFlags) => {
      const id = await fingerprintOf(named)
      const settings: Partial<AutoRegistration> & { mode: RegistrationMode } = { mode }
      if (nameTemplate !== undefined) settings.nameTemplate = nameTemplate
      if (perMinute !== undefined) settings.perMinuteMax = perMinute
      if (max !== undefined) settings.devicesMax = max
      const set = await withService(flags, client => client.issuers.register(id, settings))
      await printDocument(set, flags.output)
      printReceipt(`registration under ${id.slice(0, 16)}… is ${set.mode}`, set)
    })
}

function profileCommand(): Command {
  return withServiceOptions(new Command('profile'))
    .summary('say which certificates of a CA may be registered')
    .description(
      'X.509 version 1 is what openssl makes without extensions; it is refused unless this says yes.',
    )
    .addArgument(issuerArgument())
    .addOption(
      new Option('--accept-v1 <answer>', 'take certificates of X.509 version 1')
        .choices(['yes', 'no'])
        .makeOptionMandatory(),
    )
    .action(async (named: string, flags: Flags & { acceptV1: 'yes' | 'no' }) => {
      const id = await fingerprintOf(named)
      const acceptV1 = flags.acceptV1 === 'yes'
      const set = await withService(flags, client => client.issuers.profile(id, { acceptV1 }))
      await printDocument(set, flags.output)
    })
}

function arrivalsCommand(): Command {
  return withServiceOptions(new Command('arrivals'))
    .summary('list devices that wanted to register themselves, and why they could not')
    .addArgument(issuerArgument())
    .action(async (named: string, flags: Flags) => {
      const id = await fingerprintOf(named)
      await withService(flags, client =>
        printPages(client.issuers.arrivals(id), arrivalColumns, flags.output),
      )
    })
}

function switchCommand(verb: keyof typeof verbs): Command {
  return withServiceOptions(new Command(verb))
    .summary(verbs[verb])
    .addArgument(issuerArgument())
    .action(async (named: string, flags: Flags) => {
      const id = await fingerprintOf(named)
      const receipt = await withService(flags, client => client.issuers[verb](id))
      await printDocument(receipt, flags.output)
      printReceipt(`issuer ${receipt.issuerId.slice(0, 16)}… is ${verb}d`, receipt)
    })
}
