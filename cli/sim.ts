// `rollcall sim`: names the options and hands them over. What they mean is device-sim's business.
import { Command, Option } from 'commander'
import { keyTypes } from '../device-sim/identity.ts'
import { type ExitCode, type Io, type RawOptions, runSimulator } from '../device-sim/index.ts'
import {
  checkScenario,
  guarded,
  presetList,
  presetText,
  runScenarioFile,
  type ScenarioFlags,
  schemaText,
} from '../device-sim/scenario-run.ts'

/** The command, ready to be added to a program. It sets the exit code: 0, 1, 2 or 99. */
export function simCommand(): Command {
  return new Command('sim')
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
    .option('--keys <dir>', 'where identities are kept between runs (DATA/sim, or ./rollcall-sim)')
    .option('--broker <url>', 'mqtts://HOST:PORT (from --data, or the host of the API on 8883)')
    .option('--connect-timeout <time>', 'for TCP, TLS and CONNACK together', '15s')
    .option('--enroll-concurrency <n>', 'API calls at once', '16')
    .option('--yes', 'more than 1,000 devices against another machine are meant')
    .option('--api <url>', 'provisioning API (ROLLCALL_API)')
    .option('--token-file <file>', 'API token (ROLLCALL_TOKEN_FILE)')
    .option('--ca <file>', 'root that API and broker are trusted by (ROLLCALL_CA)')
    .option('--data <dir>', 'data directory of a running `rollcall up`, instead of the three above')
    .addOption(new Option('-o, --output <format>', 'table, json, jsonl or yaml').default('table'))
    .action((raw: RawOptions) => interruptible(io => runSimulator(raw, io)))
    .addCommand(runCommand())
    .addCommand(checkCommand())
    .addCommand(presetsCommand())
    .addCommand(schemaCommand())
}

function runCommand(): Command {
  const command = new Command('run')
    .summary('run a scenario file, or a preset by its name')
    .argument('<scenario>', 'FILE.yaml, or one of `sim presets`')
  return targeted(command).action((scenario: string, flags: ScenarioFlags) =>
    interruptible(io => runScenarioFile(scenario, flags, io)),
  )
}

/** Where a run goes and what is said of it. */
export function targeted(command: Command): Command {
  return command
    .option('--data <dir>', 'data directory of a running `rollcall up`: names broker, API and CA')
    .option('--broker <url>', 'mqtts://HOST:PORT')
    .option('--ca <file>', 'root that broker and API are trusted by (ROLLCALL_CA)')
    .option('--api <url>', 'provisioning API that certificates come from (ROLLCALL_API)')
    .option('--token-file <file>', 'API token (ROLLCALL_TOKEN_FILE)')
    .option('--directory <dir>', 'identities from files, instead of the API')
    .option('--keys <dir>', 'where enrolled identities are kept between runs (DATA/sim, or ./rollcall-sim)')
    .option(
      '--operator <program>',
      'called as PROGRAM revoke DEVICE FINGERPRINT, for brokers without our API',
    )
    .option('--seed <n>', 'the same seed replays the run')
    .option('--workers <n>', 'processes')
    .option('--enroll-concurrency <n>', 'API calls at once', '16')
    .option('--yes', 'more than 1,000 devices against another machine are meant')
    .option('--report <file>', 'one HTML file with charts, which opens offline')
    .option('--json <file>', 'the summary as JSON, as -o json prints it; `sim compare` reads it')
    .option('--samples <file>', 'NDJSON, a line for each second')
    .addOption(
      new Option('-o, --output <format>').choices(['table', 'json', 'jsonl', 'yaml']).default('table'),
    )
}

function checkCommand(): Command {
  return new Command('check')
    .summary('say whether a scenario can be run, and where it cannot')
    .argument('<scenario>', 'FILE.yaml, or the name of a preset')
    .action((scenario: string) => interruptible(io => checkScenario(scenario, io)))
}

function presetsCommand(): Command {
  return new Command('presets')
    .summary('list the scenarios that come along, or print one')
    .argument('[name]', 'of a preset whose YAML is printed')
    .action((name?: string) =>
      interruptible(io =>
        guarded(io, async () => {
          io.stdout.write(name === undefined ? presetList() : presetText(name))
          return 0
        }),
      ),
    )
}

function schemaCommand(): Command {
  return new Command('schema')
    .summary('print the JSON Schema of scenarios, for editors')
    .action(() => void process.stdout.write(schemaText()))
}

/** Ctrl-C ends a run with its report; a second one ends it at once. */
async function interruptible(work: (io: Io) => Promise<ExitCode>): Promise<void> {
  const interruption = new AbortController()
  const interrupt = (): void => {
    // The second time is meant.
    if (interruption.signal.aborted) process.exit(130)
    interruption.abort()
  }
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt)
  try {
    const { env, stdout, stderr } = process
    process.exitCode = await work({ env, stdout, stderr, signal: interruption.signal })
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt)
  }
}
