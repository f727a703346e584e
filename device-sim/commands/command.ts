// `rollcall sim` and `rollcall-sim`: names the options and hands them over. What a run does not need is loaded where it is asked for.
// Does not know what options mean.
import { Command, Option } from 'commander'
import type { AgentFlags } from '../agent-run.ts'
import type { CleanFlags } from '../clean-run.ts'
import type { CompareFlags } from '../comparison-run.ts'
import type { ConformanceFlags } from '../conformance-run.ts'
import { keyTypes } from '../enrollment/signing-keys.ts'
import type { QuickFlags } from '../scenario/quick.ts'
import type { SizeFlags } from '../scenario/resize.ts'
import { checkScenario, guarded, runQuick, runScenarioFile, type ScenarioFlags } from '../scenario-run.ts'
import { runtimeNames } from '../workers/runtime.ts'
import { emqttCommands } from './bench.ts'
import { addExamples } from './examples.ts'
import { type Carry, interruptible } from './interruption.ts'
import { mqttxCommand } from './mqttx.ts'
import { withRun, withTarget } from './target-options.ts'

/** The command, ready to be added to a program. It sets the exit code: 0, 1, 2 or 99. */
export function simCommand(name: string, version: string): Command {
  const carry: Carry = work => interruptible(version, work)
  const command = new Command(name)
    .description('emulate a fleet of devices, and prove that those without a right stay out')
    .enablePositionalOptions()
    .option('--devices <n>', 'how many devices', '100')
    .option('--rate <n>', 'connections started per second', '50')
    .option('--interval <time>', 'between two messages of a device', '5s')
    .option('--duration <time>', 'how long to stay once all devices were started', '30s')
    .option('--rogues [n]', 'also send in n of each kind of device that must be refused (1)')
    .option('--qos <0|1|2>', 'of the telemetry', '1')
    .option('--prefix <text>', 'start of every device ID', 'sim-')
    .option('--key-type <type>', keyTypes.join(', '), 'p256')
    .option('--connect-timeout <time>', 'for TCP, TLS and CONNACK together', '15s')
  for (const bench of emqttCommands(carry)) command.addCommand(bench)
  withRun(command)
    .hook('preSubcommand', refuseMisplaced)
    .action((flags: QuickFlags & ScenarioFlags) => carry(context => runQuick(flags, flags, context)))
    .addCommand(runCommand(carry))
    .addCommand(checkCommand(carry))
    .addCommand(mqttxCommand(carry))
    .addCommand(compareCommand(carry))
    .addCommand(conformanceCommand(carry))
    .addCommand(cleanCommand(carry))
    .addCommand(agentCommand(carry))
    .addCommand(presetsCommand(carry))
    .addCommand(schemaCommand())
  addExamples(command, name === 'sim' ? 'rollcall sim' : name)
  return command
}

/** What stands before the word of a sub-command is of `sim` alone: left out in silence it would be taken for heeded. */
function refuseMisplaced(command: Command, sub: Command): void {
  const given = command.options.filter(
    option => command.getOptionValueSource(option.attributeName()) === 'cli',
  )
  if (given.length === 0) return
  const flags = given.map(({ long }) => long).join(', ')
  command.error(`error: ${flags} before '${sub.name()}' does not reach it: write it after '${sub.name()}'`)
}

function runCommand(carry: Carry): Command {
  const command = new Command('run')
    .summary('run a scenario file, or a preset by its name')
    .argument('<scenario>', 'FILE.yaml, or one of `sim presets`')
    .option('--devices <n>', 'as many in all, instead of what the scenario says')
    .option('--rate <n>', 'connections started per second, instead')
    .option(
      '--duration <time>',
      'of the stages after the ramps, instead; actions and asserts keep their place',
    )
  return withRun(command).action((scenario: string, flags: ScenarioFlags & SizeFlags) =>
    carry(context => runScenarioFile(scenario, flags, context)),
  )
}

function checkCommand(carry: Carry): Command {
  return new Command('check')
    .summary('say whether a scenario can be run, and where it cannot')
    .argument('<scenario>', 'FILE.yaml, or the name of a preset')
    .action((scenario: string) => carry(context => checkScenario(scenario, context)))
}

function compareCommand(carry: Carry): Command {
  return new Command('compare')
    .summary('hold two runs against each other: what got better, what got worse')
    .argument('<a>', 'FILE that --json of an earlier run wrote')
    .argument('<b>', 'FILE of a later one')
    .option('--max-worse <share>', 'fail where a metric got worse by more than this, such as 20%')
    .addOption(new Option('-o, --output <format>').choices(['table', 'json']).default('table'))
    .action((a: string, b: string, flags: CompareFlags) =>
      carry(async context => (await import('../comparison-run.ts')).runComparison(a, b, flags, context)),
    )
}

function cleanCommand(carry: Carry): Command {
  return new Command('clean')
    .summary('take off the roll what earlier runs enrolled, and delete its keys')
    .option('--data <dir>', 'data directory of a running `rollcall up`')
    .option('--api <url>', 'provisioning API (ROLLCALL_API)')
    .option('--token-file <file>', 'API token (ROLLCALL_TOKEN_FILE)')
    .option('--ca <file>', 'root that the API is trusted by (ROLLCALL_CA)')
    .option('--keys <dir>', 'where identities are kept (DATA/sim, or ./rollcall-sim)')
    .option('--decommission', 'end the devices for good, too: their IDs cannot be used again')
    .addOption(new Option('-o, --output <format>').choices(['table', 'json']).default('table'))
    .action((flags: CleanFlags) =>
      carry(async context => (await import('../clean-run.ts')).runClean(flags, context)),
    )
}

function agentCommand(carry: Carry): Command {
  return new Command('agent')
    .summary('lend this machine to runs of another one (sim run --agents)')
    .addOption(
      new Option(
        '--init',
        'make the key and certificate if there are none, and print the fingerprint',
      ).conflicts(['listen', 'trust', 'sources', 'workers', 'runtime']),
    )
    .option('--listen <address>', 'ADDRESS:PORT', '127.0.0.1:7420')
    .option('--trust <fingerprints>', 'of the machines that may start runs here, with commas')
    .option('--agent-identity <file>', 'key and certificate (rollcall-sim-agent.pem)')
    .option('--sources <addresses>', 'local addresses that devices connect from, with commas')
    .option('--workers <n>', 'processes at most (two for each CPU)')
    .addOption(
      new Option('--runtime <name>', 'that devices run on (node); auto: Bun where it passes a trial').choices(
        runtimeNames,
      ),
    )
    .action((flags: AgentFlags) =>
      carry(async context => (await import('../agent-run.ts')).runAgent(flags, context)),
    )
}

function conformanceCommand(carry: Carry): Command {
  const command = new Command('conformance')
    .summary('play the clauses of MQTT 3.1.1 and 5 against a broker, one by one')
    .option('--only <text>', 'clauses with this in their number or description alone')
    .option('--patience <time>', 'how long an answer is waited for (2s)')
    .option('--topics <prefix>', 'what the topics of a client begin with; %c is its client ID')
    .addOption(new Option('-o, --output <format>').choices(['table', 'json']).default('table'))
    .option('--json <file>', 'the result as JSON, as -o json prints it')
    .option('--junit <file>', 'the clauses as JUnit XML, for CI servers')
  return withTarget(command).action((flags: ConformanceFlags) =>
    carry(async context => (await import('../conformance-run.ts')).runConformance(flags, context)),
  )
}

function presetsCommand(carry: Carry): Command {
  return new Command('presets')
    .summary('list the scenarios that come along, or print one')
    .argument('[name]', 'of a preset whose YAML is printed')
    .action((name?: string) =>
      carry(context =>
        guarded(context, async () => {
          const { presetList, presetText } = await import('../scenario/load.ts')
          context.stdout.write(name === undefined ? presetList() : presetText(name))
          return 0
        }),
      ),
    )
}

function schemaCommand(): Command {
  return new Command('schema')
    .summary('print the JSON Schema of scenarios, for editors')
    .action(async () => void process.stdout.write((await import('../scenario/load.ts')).schemaText()))
}
