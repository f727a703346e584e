// The table of nouns and what happens around every command: loading only what was asked for, help, and exit codes.
// Refuses to know what any command does.
import { Command, CommanderError, type Option } from 'commander'
import { complete, nearestCommands } from './command-tree.ts'
import { exitCodes, inJson, report, UsageError } from './errors.ts'
import { SERVICE_OPTIONS } from './options.ts'

type Noun = { summary: string; load(version?: string): Promise<Command> }

/** One entry per noun, in the order that help shows them. Loading is lazy: `--version` and `up` must start fast. */
export const nouns: Readonly<Record<string, Noun>> = {
  up: {
    summary: 'run the broker and the provisioning service on one data directory',
    load: async () => (await import('./service/up.ts')).upCommand(),
  },
  device: {
    summary: 'put devices on the roll, enroll them, suspend them',
    load: async () => (await import('./device/command.ts')).deviceCommand(),
  },
  group: {
    summary: 'list the groups of devices',
    load: async () => (await import('./group/command.ts')).groupCommand(),
  },
  session: {
    summary: 'list the sessions of devices, and end them',
    load: async () => (await import('./session/command.ts')).sessionCommand(),
  },
  node: {
    summary: 'list the brokers, and drain one',
    load: async () => (await import('./node/command.ts')).nodeCommand(),
  },
  retained: {
    summary: 'list retained messages, and clear them',
    load: async () => (await import('./retained/command.ts')).retainedCommand(),
  },
  job: {
    summary: 'follow imports of many devices, and fetch their results',
    load: async () => (await import('./job/command.ts')).jobCommand(),
  },
  certificate: {
    summary: 'look at certificates, hold, approve and revoke them',
    load: async () => (await import('./certificate/command.ts')).certificateCommand(),
  },
  'enrollment-token': {
    summary: 'make one-time tokens with which devices enroll themselves',
    load: async () => (await import('./enrollment-token/command.ts')).enrollmentTokenCommand(),
  },
  claim: {
    summary: 'make certificates with which a batch of devices enrolls itself',
    load: async () => (await import('./claim/command.ts')).claimCommand(),
  },
  issuer: {
    summary: 'list the issuers, disable and enable them',
    load: async () => (await import('./issuer/command.ts')).issuerCommand(),
  },
  ca: {
    summary: 'encrypt the keys of the CA, move the root offline, rotate the issuing CA',
    load: async () => (await import('./ca/command.ts')).caCommand(),
  },
  policy: {
    summary: 'set what devices may publish and subscribe, and try a change first',
    load: async () => (await import('./policy/command.ts')).policyCommand(),
  },
  events: {
    summary: 'list events of the fleet, or follow them as they happen',
    load: async () => (await import('./events/command.ts')).eventsCommand(),
  },
  status: {
    summary: 'tell how the fleet and its brokers are',
    load: async () => (await import('./status/command.ts')).statusCommand(),
  },
  explain: {
    summary: 'tell whether a device or certificate would be admitted now, and why',
    load: async () => (await import('./explain/command.ts')).explainCommand(),
  },
  'api-token': {
    summary: 'make, list and revoke tokens for the API',
    load: async () => (await import('./api-token/command.ts')).apiTokenCommand(),
  },
  operator: {
    summary: 'accept operators by their certificates, list and revoke them',
    load: async () => (await import('./operator/command.ts')).operatorCommand(),
  },
  webhook: {
    summary: 'send events to a URL, and see how that goes',
    load: async () => (await import('./webhook/command.ts')).webhookCommand(),
  },
  audit: {
    summary: 'read, verify and export the log of changes',
    load: async () => (await import('./audit/command.ts')).auditCommand(),
  },
  login: {
    summary: 'keep where a service is and what opens it, as a profile',
    load: async () => (await import('./login/command.ts')).loginCommand(),
  },
  doctor: {
    summary: 'look at everything a service needs, and say what to do',
    load: async () => (await import('./doctor/command.ts')).doctorCommand(),
  },
  config: {
    summary: 'check the settings, and tell which hold and where each comes from',
    load: async () => (await import('./config/command.ts')).configCommand(),
  },
  backup: {
    summary: 'copy the registry, or all that a new machine needs, while everything runs',
    load: async () => (await import('./backup/command.ts')).backupCommand(),
  },
  restore: {
    summary: 'make a data directory of a backup, once it is proven whole',
    load: async () => (await import('./restore/command.ts')).restoreCommand(),
  },
  registry: {
    summary: 'move the registry into PostgreSQL, for several machines',
    load: async () => (await import('./registry/command.ts')).registryCommand(),
  },
  sim: {
    summary: 'run a simulated fleet, rogues included',
    load: async (version = '') =>
      (await import('../device-sim/commands/command.ts')).simCommand('sim', version),
  },
  completion: {
    summary: 'print a script that completes commands in your shell',
    load: async version =>
      (await import('./completion/command.ts')).completionCommand(() => wholeProgram(version ?? '')),
  },
  man: {
    summary: 'write the manual pages into a directory',
    load: async (version = '') =>
      (await import('./man/command.ts')).manCommand(() => wholeProgram(version), version),
  },
  version: {
    summary: 'print the version',
    load: async version =>
      new Command('version').description('Prints the version.').action(() => {
        process.stdout.write(`${version}\n`)
      }),
  },
  broker: {
    summary: 'run the broker alone (as a container does)',
    load: async () => (await import('./service/broker.ts')).brokerCommand(),
  },
  provisioning: {
    summary: 'run the provisioning service alone (as a container does)',
    load: async () => (await import('./service/provisioning.ts')).provisioningCommand(),
  },
}

/** Runs one command line (without node and script). Gives the exit code: 0 done, 1 failed, 2 usage, 99 of `sim`. */
export async function run(args: readonly string[], version: string): Promise<number> {
  leaveWhenNobodyReads()
  try {
    const [first = '', second = ''] = args.filter(arg => !arg.startsWith('-'))
    if (first !== '' && first !== 'help' && !Object.hasOwn(nouns, first))
      await refuseUnknown(first, second, version)
    if (args[0] === 'sim')
      (await import('../device-sim/workers/local-worker.ts')).startWorkerAhead(args.slice(1))
    const program = await createProgram(args, version)
    await program.parseAsync([...args], { from: 'user' })
    // A command that finished can still have failed: `sim` sets what its run was worth.
    return Number(process.exitCode ?? exitCodes.done)
  } catch (error) {
    // commander has written its own words by then; help without a command is a usage error.
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return exitCodes.done
      const isTold = !inJson(formatIn(args))
      return isTold ? exitCodes.usage : report(usageOf(error), process.stderr, 'json')
    }
    return report(error, process.stderr, formatIn(args))
  }
}

/** The program with the one noun that `args` names loaded in full, and every other one as a line of help. */
export async function createProgram(args: readonly string[], version: string): Promise<Command> {
  const program = new Command('rollcall')
    .description('An MQTT broker over mutual TLS that admits only devices on the roll.')
    .version(version, '-V, --version', 'print the version')
    .exitOverride()
    // What follows a verb belongs to the verb: `sim` has options of its own besides those of `sim run`.
    .enablePositionalOptions()
    .showHelpAfterError(inJson(formatIn(args)) ? false : 'hint: add --help to see what is accepted')
    .configureOutput(inJson(formatIn(args)) ? { outputError() {} } : {})
    .addHelpText('after', '\nExit codes: 0 done, 1 failed, 2 usage. Data goes to stdout, words to stderr.')
  const [first, second] = args.filter(arg => !arg.startsWith('-'))
  const asked = first === 'help' ? second : first
  for (const [name, { summary, load }] of Object.entries(nouns)) {
    const command = name === asked ? await load(version) : new Command(name)
    if (name === asked) complete(command, name)
    program.addCommand(command.summary(summary))
    inherit(command, program)
  }
  return program
}

/** Names what may have been meant, over nouns and verbs. A flag before the noun has its own fault. */
async function refuseUnknown(first: string, second: string, version: string): Promise<never> {
  const near = nearestCommands(await wholeProgram(version), [first, second])
  throw new UsageError(
    `unknown command '${first}'`,
    near.length === 0 ? 'add --help to see what is accepted' : `did you mean ${near.join(', or ')}?`,
  )
}

function usageOf({ message }: CommanderError): UsageError {
  return new UsageError(message.replace(/^error: /, ''))
}

/** With every noun loaded. */
async function wholeProgram(version: string): Promise<Command> {
  const whole = new Command('rollcall')
  for (const [name, { summary, load }] of Object.entries(nouns)) {
    const command = await load(version)
    complete(command, name)
    whole.addCommand(command.summary(summary))
  }
  return whole
}

/** How the caller wants data: an error is written so, too. */
function formatIn(args: readonly string[]): string | undefined {
  const at = args.findLastIndex(arg => arg === '-o' || arg === '--output')
  const joined = args.findLast(arg => /^(--output=|-o.)/.test(arg))
  return at >= 0 ? args[at + 1] : joined?.replace(/^(--output=|-o)/, '')
}

/** commander hands its settings down only to commands it made itself. */
function inherit(command: Command, parent: Command): void {
  command.copyInheritedSettings(parent)
  // What a command has of its own is read first.
  const isOfService = ({ helpGroupHeading }: Option) => (helpGroupHeading === SERVICE_OPTIONS ? 1 : 0)
  ;(command.options as Option[]).sort((a, b) => isOfService(a) - isOfService(b))
  for (const child of command.commands) inherit(child, command)
}

/** `rollcall device list | head` ends quietly when head has seen enough. */
function leaveWhenNobodyReads(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(exitCodes.done)
    throw error
  })
}
