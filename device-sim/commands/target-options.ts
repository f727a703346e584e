// The options that say where devices go and what they present, and how a run goes and what is written about it.
// Does not know what they mean.
import { type Command, Option } from 'commander'
import { runtimeNames } from '../workers/runtime.ts'

/** Where devices go and what they present. */
export function withTarget(command: Command): Command {
  return command
    .optionsGroup('Where it goes:')
    .option('--data <dir>', 'data directory of a running `rollcall up`: names broker, API and CA')
    .option('--broker <url>', 'mqtts://HOST:PORT; also mqtt://, wss:// and ws://')
    .option('--ca <file>', 'root that broker and API are trusted by (ROLLCALL_CA)')
    .option('--pin <sha256>', 'trust the server certificate with this fingerprint and no other')
    .option('--insecure', 'do not verify the server certificate')
    .option('--servername <name>', 'of the server, in SNI and in its certificate, instead of the host')
    .option('--alpn <names>', 'to offer, with commas')
    .option('-V, --mqtt-version <version>', 'mqttv31, mqttv311 or mqttv5; also 3, 4 or 5 (3.1.1)')
    .optionsGroup('What devices present:')
    .option('--directory <dir>', 'identities from files, instead of the API')
    .option('--certificate <file>', 'one key and certificate for all devices, instead of one each')
    .option('--key <file>', 'key of --certificate, where it is in a file of its own')
    .addOption(
      new Option(
        '--identities <kind>',
        'none: devices present no certificate; tpm: models of TPMs prove their keys',
      ).choices(['none', 'tpm']),
    )
    .option('-u, --username <text>', 'of every device; %c is its client ID, %i its number')
    .option('-P, --password <text>', 'of every device; --password-file keeps it off the command line')
    .option('--password-file <file>', 'the password of every device')
    .option('--api <url>', 'provisioning API that certificates come from (ROLLCALL_API)')
    .option('--token-file <file>', 'API token (ROLLCALL_TOKEN_FILE)')
    .option('--est <url>', 'EST server to enroll at, instead of the API: https://HOST:PORT')
    .option('--est-users <file>', 'USER:PASSWORD for it: one line for all, or one for each device ID')
    .option('--est-bootstrap <file>', 'key and certificate that devices enroll with there, instead')
    .option('--keys <dir>', 'where enrolled identities are kept between runs (DATA/sim, or ./rollcall-sim)')
    .option('--enroll-concurrency <n>', 'API calls at once', '16')
    .optionsGroup('Options:')
}

/** Of a command that runs a fleet: besides, how it runs and what is written. */
export function withRun(command: Command): Command {
  return withTarget(command)
    .optionsGroup('How it runs:')
    .option('--like <service>', 'aws-iot, azure-event-grid or emqx: refuse what that service refuses')
    .option(
      '--operator <program>',
      'called as PROGRAM revoke DEVICE FINGERPRINT, for brokers without our API',
    )
    .option('--seed <n>', 'the same seed replays the run')
    .option('--workers <n>', 'processes; with --agents, of each of them')
    .addOption(
      new Option(
        '--runtime <name>',
        'that devices run on (node); auto: Bun where it is installed and passes a trial',
      ).choices(runtimeNames),
    )
    .option('--agents <list>', 'HOST:PORT=FINGERPRINT of each machine that devices are on, with commas')
    .option('--agent-identity <file>', 'key and certificate for --agents (rollcall-sim-agent.pem)')
    .option('--yes', 'more than 1,000 devices against another machine are meant')
    .option('--repeat <n>', 'run it n times; means and intervals go to stdout and --json')
    .option('--watch-pid <pids>', "processes of this machine whose CPU and memory are shown: the broker's")
    .option('--fail-fast <n>', 'stop after n attempts if no device was admitted (200)')
    .option('--no-fail-fast', 'go on if no device is admitted')
    .optionsGroup('What is written:')
    .addOption(
      new Option('-o, --output <format>').choices(['table', 'json', 'jsonl', 'yaml']).default('table'),
    )
    .option('--report <file>', 'one HTML file with charts, which opens offline')
    .option('--json <file>', 'the summary as JSON, as -o json prints it; `sim compare` reads it')
    .option('--junit <file>', 'the promises as JUnit XML, for CI servers')
    .option('--samples <file>', 'NDJSON, a line for each second')
    .option('--csv <file>', 'the samples as CSV')
    .option('--github-summary', 'append the result to the summary of the GitHub Actions job')
    .option('--metrics-port <port>', 'serves /metrics for Prometheus during the run; 0 picks a free one')
    .option('--metrics-host <address>', 'address of the metrics', '127.0.0.1')
    .option('--metrics-push <url>', 'POST them there every 5 s and at the end: a Prometheus Pushgateway')
    .option('--metrics-push-token-file <file>', 'bearer token for it')
    .optionsGroup('Options:')
}
