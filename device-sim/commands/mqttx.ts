// `sim bench conn|pub|sub`: the flags of `mqttx bench`, which has short ones of several letters, given the names of emqtt-bench.
// Flags that cannot be carried out are refused by name. Does not know what they mean.
import { Command } from 'commander'
import { BadUsage } from '../failure.ts'
import type { CompatibilityFlags, CompatibilityVerb } from '../scenario/compatibility-flags.ts'
import { guarded, type ScenarioFlags } from '../scenario-run.ts'
import { collect, start } from './bench.ts'
import type { Carry } from './interruption.ts'
import { withRun } from './target-options.ts'

/** Commander knows no short flags of several letters. */
const shortFlags: Readonly<Record<string, string>> = {
  '-im': '--message-interval',
  '-se': '--session-expiry-interval',
  '-rp': '--reconnect-period',
  '-pf': '--payload-format-indicator',
  '-rt': '--response-topic',
  '-cd': '--correlation-data',
  '-up': '--user-properties',
  '-ct': '--content-type',
  '-nl': '--no_local',
  '-rap': '--retain-as-published',
  '-rh': '--retain-handling',
}

const withoutEffect = ['verbose', 'debug', 'reconnectPeriod', 'maximumReconnectTimes', 'dup'] as const

/** By name, where a script has them: leaving them out in silence would measure something else. */
const refused = [
  ...['-ta', '--topic-alias', '-si', '--subscription-identifier', '--receive-maximum', '--rcv-max'],
  ...[
    '--maximum-packet-size',
    '--req-response-info',
    '--no-req-problem-info',
    '-Cup',
    '--conn-user-properties',
  ],
  ...['-wh', '--ws-headers', '-so', '--save-options', '-lo', '--load-options', '--file-read', '--split'],
  ...['-Wt', '--will-topic', '-Wm', '--will-message', '-Wq', '--will-qos', '-Wr', '--will-retain'],
  ...[
    '-Wd',
    '--will-delay-interval',
    '-We',
    '--will-message-expiry-interval',
    '-Wpf',
    '-Wct',
    '-Wrt',
    '-Wcd',
    '-Wup',
  ],
] as const

type MqttxFlags = CompatibilityFlags &
  ScenarioFlags & {
    hostname?: string
    protocol?: string
    messageInterval?: string
    sessionExpiryInterval?: string
    cert?: string
    messageExpiryInterval?: string
    payloadFormatIndicator?: boolean
    responseTopic?: string
    correlationData?: string
    contentType?: string
    userProperties?: string[]
    no_local?: boolean
  } & Record<string, unknown>

/** Takes everything after `bench` as it is, to rewrite short flags before it is parsed. */
export function mqttxCommand(carry: Carry): Command {
  return new Command('bench')
    .summary('connect, publish or subscribe, with flags as mqttx bench has them')
    .argument('[args...]', 'conn, pub or sub, and its flags; bench pub --help lists them')
    .allowUnknownOption()
    .helpOption(false)
    .passThroughOptions()
    .action(async (args: string[]) => {
      const given = args.filter(arg => (refused as readonly string[]).includes(arg.split('=')[0] ?? ''))
      if (given.length > 0) {
        const problems = given.map(
          flag => `sim bench: ${flag} is not supported: write a scenario file (sim run)`,
        )
        return carry(context => guarded(context, () => Promise.reject(new BadUsage(problems))))
      }
      const inner = new Command('sim bench').exitOverride().enablePositionalOptions()
      for (const verb of ['conn', 'pub', 'sub'] as const)
        inner.addCommand(verbCommand(verb, carry).exitOverride())
      await inner.parseAsync(
        args.map(arg => shortFlags[arg] ?? arg),
        { from: 'user' },
      )
    })
}

function verbCommand(verb: CompatibilityVerb, carry: Carry): Command {
  const command = new Command(verb)
    .option('-h, --hostname <host>', 'of the broker')
    .option('-p, --port <n>', 'of the broker', '1883')
    .option('-l, --protocol <name>', 'mqtt, mqtts, ws or wss', 'mqtt')
    .option('--path <path>', 'of a WebSocket', '/mqtt')
    .option('-c, --count <n>', 'clients', '1000')
    .option('-i, --interval <ms>', 'between two connections', '10')
    .option('-I, --client-id <id>', '%i is its number')
    .option('--no-clean', 'keep the session')
    .option('-k, --keepalive <s>', 'of the MQTT session', '30')
    .option('--session-expiry-interval <s>', 'in MQTT 5; -se')
    .option('--topic-alias-maximum <n>', 'in MQTT 5')
    .option('--cert <file>', 'certificate of all clients; --key FILE is its key')
    .option('--reconnect-period <ms>', 'no effect: devices come back with back-off; -rp')
    .option('--maximum-reconnect-times <n>', 'no effect')
    .option('-v, --verbose', 'no effect')
    .option('--debug', 'no effect')
    .option('--duration <time>', 'after the last was started; Ctrl-C ends it too')
  if (verb !== 'conn') {
    command
      .option('-t, --topic <topic>', '%c is the client ID, %i its number, %u its user name', collect)
      .option('-q, --qos <n>', 'of the messages', '0')
  }
  if (verb === 'pub') {
    command
      .option('--message-interval <ms>', 'between two messages of a client; -im', '1000')
      .option('-L, --limit <n>', 'messages in all; then the run ends', '0')
      .option('-m, --message <text>', 'payload of every message', 'Hello From MQTTX CLI')
      .option('-r, --retain', 'retained messages')
      .option('-d, --dup', 'no effect')
      .option('-e, --message-expiry-interval <s>', 'in MQTT 5')
      .option('--payload-format-indicator', 'in MQTT 5; -pf')
      .option('--response-topic <topic>', 'in MQTT 5; -rt')
      .option('--correlation-data <text>', 'in MQTT 5; -cd')
      .option('--content-type <text>', 'in MQTT 5; -ct')
      .option('--user-properties <pair>', 'name: value, in MQTT 5; -up', collect)
  }
  if (verb === 'sub') {
    command
      .option('--no_local', 'in MQTT 5; -nl')
      .option('--retain-as-published', 'in MQTT 5; -rap')
      .option('--retain-handling <n>', 'in MQTT 5; -rh')
  }
  return withRun(command).action((flags: MqttxFlags) => {
    for (const name of withoutEffect) delete flags[name]
    const {
      hostname,
      protocol = 'mqtt',
      messageInterval,
      sessionExpiryInterval,
      cert,
      no_local,
      ...rest
    } = flags
    return start(carry, verb, {
      ...rest,
      ...(hostname === undefined ? {} : { host: hostname }),
      ...(messageInterval === undefined ? {} : { interval_of_msg: messageInterval }),
      ...(sessionExpiryInterval === undefined ? {} : { sessionExpiry: sessionExpiryInterval }),
      ...(cert === undefined ? {} : { certificate: cert }),
      ...(no_local ? { noLocal: true } : {}),
      ssl: protocol === 'mqtts' || protocol === 'wss',
      ws: protocol === 'ws' || protocol === 'wss',
      ...propertiesOf(flags),
    })
  })
}

function propertiesOf(flags: MqttxFlags): Pick<CompatibilityFlags, 'properties'> {
  const { messageExpiryInterval, payloadFormatIndicator, responseTopic, correlationData, contentType } = flags
  const properties = {
    ...(messageExpiryInterval === undefined ? {} : { expiry: `${messageExpiryInterval}s` }),
    ...(payloadFormatIndicator ? { utf8: true } : {}),
    ...(responseTopic === undefined ? {} : { responseTopic }),
    ...(correlationData === undefined ? {} : { correlation: correlationData }),
    ...(contentType === undefined ? {} : { contentType }),
    ...(flags.userProperties === undefined ? {} : { user: flags.userProperties.map(pairOf) }),
  }
  return Object.keys(properties).length === 0 ? {} : { properties }
}

function pairOf(text: string): Record<string, string> {
  const [name = '', ...value] = text.split(':')
  return { [name.trim()]: value.join(':').trim() }
}
