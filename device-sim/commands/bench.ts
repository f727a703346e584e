// `sim conn|pub|sub`: the flags that users of emqtt-bench know. Does not know what they mean.
import { Command } from 'commander'
import type { CompatibilityFlags, CompatibilityVerb } from '../scenario/compatibility-flags.ts'
import { runCompatible, type ScenarioFlags } from '../scenario-run.ts'
import type { Carry } from './interruption.ts'
import { withTarget } from './target-options.ts'

/** With the flags of emqtt-bench, where there is such a thing here. */
export function benchCommand(verb: CompatibilityVerb, summary: string, carry: Carry): Command {
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
  return withTarget(command).action((flags: CompatibilityFlags & ScenarioFlags) =>
    carry(context => runCompatible(verb, flags, flags, context)),
  )
}
