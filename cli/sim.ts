// `rollcall sim`: names the options and hands them over. What they mean is device-sim's business.
import { Command, Option } from 'commander'
import { keyTypes } from '../device-sim/identity.ts'
import { type RawOptions, runSimulator } from '../device-sim/index.ts'

/** The command, ready to be added to a program. It sets the exit code: 0, 1, 2 or 99. */
export function simCommand(): Command {
  return new Command('sim')
    .description('emulate a fleet of devices, and prove that those without a right stay out')
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
    .action(async (raw: RawOptions) => {
      const interruption = new AbortController()
      const interrupt = (): void => {
        // The second time is meant.
        if (interruption.signal.aborted) process.exit(130)
        interruption.abort()
      }
      process.on('SIGINT', interrupt).on('SIGTERM', interrupt)
      try {
        const { env, stdout, stderr } = process
        process.exitCode = await runSimulator(raw, { env, stdout, stderr, signal: interruption.signal })
      } finally {
        process.off('SIGINT', interrupt).off('SIGTERM', interrupt)
      }
    })
}
