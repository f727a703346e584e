// `sim conn|pub|sub` with the flags of emqtt-bench, and `sim bench conn|pub|sub` with those of `mqttx bench`: scripts run as they are.
// Flags that cannot be carried out are refused by name; those that change nothing here are said. Does not know what they mean.
import { Command } from 'commander'
import { BadUsage } from '../failure.ts'
import type { CompatibilityFlags, CompatibilityVerb } from '../scenario/compatibility-flags.ts'
import { guarded, runCompatible, type ScenarioFlags } from '../scenario-run.ts'
import type { Carry } from './interruption.ts'
import { withRun } from './target-options.ts'

const verbs: readonly [CompatibilityVerb, string][] = [
  ['conn', 'connect clients and keep them'],
  ['pub', 'connect clients that publish'],
  ['sub', 'connect clients that subscribe'],
]

/** Taken, since scripts have them; what they ask for is so already, or has no meaning in another program. */
const withoutEffect: readonly [flags: string, name: string, why: string][] = [
  ['-d, --dist', 'dist', 'it is for Erlang'],
  ['-l, --lowmem [bool]', 'lowmem', 'devices take little memory always'],
  ['--force-major-gc-interval <ms>', 'forceMajorGcInterval', 'devices take little memory always'],
  ['-Q, --qoe [bool]', 'qoe', 'latencies are measured always'],
  ['--log_to <where>', 'log_to', 'messages for people go to stderr'],
  ['--num-retry-connect <n>', 'numRetryConnect', 'devices come back with back-off'],
  ['--min-random-wait <ms>', 'minRandomWait', 'first messages are spread over an interval'],
  ['--max-random-wait <ms>', 'maxRandomWait', 'first messages are spread over an interval'],
  ['-A, --keep-connected [bool]', 'keepConnected', 'devices stay connected'],
]

const refused: readonly [flags: string, name: string, why: string][] = [
  ['--quic [bool]', 'quic', 'QUIC is not supported; mqtt, mqtts, ws and wss are'],
  ['--load-qst <file>', 'loadQst', 'session tickets of QUIC are not supported'],
  ['--topics-payload <file>', 'topicsPayload', 'write a scenario file instead (sim run)'],
  [
    '--ciphers <list>',
    'ciphers',
    'TLS suites are those of Node; --tls-cipher-list of NODE_OPTIONS sets them',
  ],
]

/** With the flags of emqtt-bench. */
export function emqttCommands(carry: Carry): Command[] {
  return verbs.map(([verb, summary]) => {
    const command = new Command(verb)
      .summary(`${summary}; flags as emqtt-bench has them`)
      .option('-h, --host <host>', 'of the broker')
      .option('-p, --port <n>', 'of the broker', '1883')
      .option('-c, --count <n>', 'clients', '200')
      .option('-n, --startnumber <n>', 'before the number of the first client', '0')
      .option('-R, --connrate <n>', 'connections started per second, instead of -i')
      .option('-i, --interval <ms>', 'between two connections', '10')
      .option('-k, --keepalive <s>', 'of the MQTT session', '300')
      .option('-C, --clean [bool]', 'clean session or clean start (true)')
      .option('-x, --session-expiry <s>', 'Session Expiry Interval, in MQTT 5')
      .option('-S, --ssl [bool]', 'over TLS; the server is verified, which emqtt-bench does not do')
      .option('--certfile <file>', 'certificate of all clients')
      .option('--keyfile <file>', 'its key')
      .option('--cacertfile <file>', 'root that the server is trusted by')
      .option('--ws [bool]', 'over WebSocket')
      .option('--ifaddr <address>', 'local addresses to connect from, with commas')
      .option('--prefix <text>', 'client IDs are PREFIX_bench_VERB_NUMBER (sim-bench-NUMBER)')
      // Versions before 0.4.34 had -s for both in pub.
      .option(
        verb === 'pub' ? '--shortids [bool]' : '-s, --shortids [bool]',
        'client IDs are the prefix and the number',
      )
      .option('--version <n>', '3, 4 or 5; as -V (5)')
      .option(
        '--duration <time>',
        'after the last was started; Ctrl-C ends it too (24h, or until -L is sent)',
      )
    if (verb !== 'conn') {
      command
        .option(
          '-t, --topic <topic>',
          '%c is the client ID, %i its number, %u its user name, %s the message',
          collect,
        )
        .option('-q, --qos <n>', 'of the messages', '0')
        .option('--payload-hdrs <names>', 'cnt64, ts or both: binary headers before each payload')
    }
    if (verb === 'pub') {
      command
        .option('-I, --interval_of_msg <ms>', 'between two messages of a client', '1000')
        .option('-s, --size <bytes>', 'of a message', '256')
        .option('-m, --message <text>', 'payload of every message; template://FILE sends its lines in turn')
        .option('-r, --retain [bool]', 'retained messages')
        .option('-L, --limit <n>', 'messages in all; then the run ends', '0')
        .option('-F, --inflight <n>', 'unacknowledged messages of a client at most; 0 for no bound (64)')
        .option('-w, --wait-before-publishing [bool]', 'until all have connected')
    }
    for (const [flags, , why] of [...withoutEffect, ...refused]) command.option(flags, why)
    return withRun(command).action((flags: EmqttFlags) => {
      const { certfile, keyfile, cacertfile, version, ...rest } = flags
      return start(carry, verb, {
        ...rest,
        ...(certfile === undefined ? {} : { certificate: certfile }),
        ...(keyfile === undefined ? {} : { key: keyfile }),
        ...(cacertfile === undefined ? {} : { ca: cacertfile }),
        ...(version === undefined ? {} : { mqttVersion: version }),
      })
    })
  })
}

type BenchFlags = CompatibilityFlags & ScenarioFlags & Record<string, unknown>
type EmqttFlags = BenchFlags & { certfile?: string; keyfile?: string; cacertfile?: string; version?: string }

/** Says what has no effect, refuses what cannot be done, and runs the rest. */
export function start(carry: Carry, verb: CompatibilityVerb, flags: BenchFlags): Promise<void> {
  return carry(context =>
    guarded(context, async () => {
      const given = refused.filter(([, name]) => flags[name] !== undefined)
      if (given.length > 0) throw new BadUsage(given.map(([flag, , why]) => `${flag.split(' ')[0]}: ${why}`))
      for (const [flag, name, why] of withoutEffect) {
        const long = /--[\w-]+/.exec(flag)?.[0]
        if (flags[name] !== undefined) context.stderr.write(`note: ${long} changes nothing here: ${why}\n`)
      }
      return runCompatible(verb, flags, flags, context)
    }),
  )
}

export function collect(text: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), text]
}
