// `rollcall sim`: names the options and hands them over. What they mean is device-sim's business.
import { Command, Option } from 'commander'
import { type CompareFlags, runComparison } from '../../device-sim/comparison-run.ts'
import { keyTypes } from '../../device-sim/enrollment/signing-keys.ts'
import type { CompatibilityFlags, CompatibilityVerb } from '../../device-sim/scenario/compatibility-flags.ts'
import type { QuickFlags } from '../../device-sim/scenario/quick.ts'
import type { SizeFlags } from '../../device-sim/scenario/resize.ts'
import {
  checkScenario,
  guarded,
  presetList,
  presetText,
  runCompatible,
  runQuick,
  runScenarioFile,
  type ScenarioFlags,
  schemaText,
} from '../../device-sim/scenario-run.ts'
import { interruptible } from './interruption.ts'

/** The command, ready to be added to a program. It sets the exit code: 0, 1, 2 or 99. */
export function simCommand(): Command {
  const command = new Command('sim')
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
  return targeted(command)
    .action((flags: QuickFlags & ScenarioFlags) => interruptible(context => runQuick(flags, flags, context)))
    .addCommand(runCommand())
    .addCommand(checkCommand())
    .addCommand(familiarCommand('conn', 'connect clients and keep them'))
    .addCommand(familiarCommand('pub', 'connect clients that publish'))
    .addCommand(familiarCommand('sub', 'connect clients that subscribe'))
    .addCommand(compareCommand())
    .addCommand(presetsCommand())
    .addCommand(schemaCommand())
}

function runCommand(): Command {
  const command = new Command('run')
    .summary('run a scenario file, or a preset by its name')
    .argument('<scenario>', 'FILE.yaml, or one of `sim presets`')
    .option('--devices <n>', 'as many in all, instead of what the scenario says')
    .option('--rate <n>', 'connections started per second, instead')
    .option(
      '--duration <time>',
      'of the stages after the ramps, instead; actions and asserts keep their place',
    )
  return targeted(command).action((scenario: string, flags: ScenarioFlags & SizeFlags) =>
    interruptible(context => runScenarioFile(scenario, flags, context)),
  )
}

/** Where a run goes and what is said of it. */
function targeted(command: Command): Command {
  return command
    .option('--data <dir>', 'data directory of a running `rollcall up`: names broker, API and CA')
    .option('--broker <url>', 'mqtts://HOST:PORT; also mqtt://, wss:// and ws://')
    .option('-u, --username <text>', 'of every device; %c is its client ID, %i its number')
    .option('-P, --password <text>', 'of every device; --password-file keeps it off the command line')
    .option('--password-file <file>', 'the password of every device')
    .option('--certificate <file>', 'one key and certificate for all devices, instead of one each')
    .addOption(new Option('--identities <kind>', 'none: devices present no certificate').choices(['none']))
    .option('--pin <sha256>', 'trust the server certificate with this fingerprint and no other')
    .option('--insecure', 'do not verify the server certificate')
    .option('--servername <name>', 'of the server, in SNI and in its certificate, instead of the host')
    .option('--alpn <names>', 'to offer, with commas')
    .option('--ca <file>', 'root that broker and API are trusted by (ROLLCALL_CA)')
    .option('--api <url>', 'provisioning API that certificates come from (ROLLCALL_API)')
    .option('--token-file <file>', 'API token (ROLLCALL_TOKEN_FILE)')
    .option('--directory <dir>', 'identities from files, instead of the API')
    .option('--est <url>', 'EST server to enroll at, instead of the API: https://HOST:PORT')
    .option('--est-users <file>', 'USER:PASSWORD for it: one line for all, or one for each device ID')
    .option('--est-bootstrap <file>', 'key and certificate that devices enroll with there, instead')
    .option('--keys <dir>', 'where enrolled identities are kept between runs (DATA/sim, or ./rollcall-sim)')
    .option(
      '--operator <program>',
      'called as PROGRAM revoke DEVICE FINGERPRINT, for brokers without our API',
    )
    .option('-V, --mqtt-version <version>', 'mqttv31, mqttv311 or mqttv5; also 3, 4 or 5 (3.1.1)')
    .option('--seed <n>', 'the same seed replays the run')
    .option('--workers <n>', 'processes')
    .option('--enroll-concurrency <n>', 'API calls at once', '16')
    .option('--yes', 'more than 1,000 devices against another machine are meant')
    .option('--report <file>', 'one HTML file with charts, which opens offline')
    .option('--json <file>', 'the summary as JSON, as -o json prints it; `sim compare` reads it')
    .option('--junit <file>', 'the promises as JUnit XML, for CI servers')
    .option('--fail-fast <n>', 'stop after n attempts if no device was admitted (200)')
    .option('--no-fail-fast', 'go on if no device is admitted')
    .option('--samples <file>', 'NDJSON, a line for each second')
    .option('--metrics-port <port>', 'serves /metrics for Prometheus during the run; 0 picks a free one')
    .option('--metrics-host <address>', 'address of the metrics', '127.0.0.1')
    .addOption(
      new Option('-o, --output <format>').choices(['table', 'json', 'jsonl', 'yaml']).default('table'),
    )
}

/** With the flags of emqtt-bench, where there is such a thing here. */
function familiarCommand(verb: CompatibilityVerb, summary: string): Command {
  const command = new Command(verb)
    .summary(`${summary}; flags as emqtt-bench has them`)
    .option('-h, --host <host>', 'of the broker')
    .option('-p, --port <n>', 'of the broker', '8883')
    .option('-c, --count <n>', 'clients', '200')
    .option('-n, --startnumber <n>', 'before the number of the first client', '0')
    .option('-R, --connrate <n>', 'connections started per second, instead of -i')
    .option('-i, --interval <ms>', 'between two connections', '10')
    .option('-k, --keepalive <s>', 'of the MQTT session', '300')
    .option('--ifaddr <address>', 'local addresses to connect from, with commas')
    .option('--prefix <text>', 'start of every client ID', 'sim-bench-')
    .option('--duration <time>', 'after the last was started; Ctrl-C ends it too', '24h')
    .option('--ws', 'over WebSocket')
  if (verb !== 'conn') {
    command
      .option('-t, --topic <topic>', 'with %c for the client ID and %i for its number')
      .option('-q, --qos <n>', 'of the messages', '0')
  }
  if (verb === 'pub') {
    command
      .option('-I, --interval_of_msg <ms>', 'between two messages of a client', '1000')
      .option('-s, --size <bytes>', 'of a message', '256')
  }
  return targeted(command).action((flags: CompatibilityFlags & ScenarioFlags) =>
    interruptible(context => runCompatible(verb, flags, flags, context)),
  )
}

function checkCommand(): Command {
  return new Command('check')
    .summary('say whether a scenario can be run, and where it cannot')
    .argument('<scenario>', 'FILE.yaml, or the name of a preset')
    .action((scenario: string) => interruptible(context => checkScenario(scenario, context)))
}

function compareCommand(): Command {
  return new Command('compare')
    .summary('hold two runs against each other: what got better, what got worse')
    .argument('<a>', 'FILE that --json of an earlier run wrote')
    .argument('<b>', 'FILE of a later one')
    .option('--max-worse <share>', 'fail where a metric got worse by more than this, such as 20%')
    .addOption(new Option('-o, --output <format>').choices(['table', 'json']).default('table'))
    .action((a: string, b: string, flags: CompareFlags) =>
      interruptible(context => runComparison(a, b, flags, context)),
    )
}

function presetsCommand(): Command {
  return new Command('presets')
    .summary('list the scenarios that come along, or print one')
    .argument('[name]', 'of a preset whose YAML is printed')
    .action((name?: string) =>
      interruptible(context =>
        guarded(context, async () => {
          context.stdout.write(name === undefined ? presetList() : presetText(name))
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
