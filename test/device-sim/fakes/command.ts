// The sim command within this process: a command line in, exit code and words out.
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import type { Command } from 'commander'
import type { ExitCode } from '../../../device-sim/command-context.ts'
import { emqttCommands } from '../../../device-sim/commands/bench.ts'
import { mqttxCommand } from '../../../device-sim/commands/mqttx.ts'

/** `pub -h …`, or `bench pub -h …`. */
export async function bench(
  ...args: string[]
): Promise<{ code: ExitCode | null; stdout: string; stderr: string }> {
  const streams = { stdout: new PassThrough(), stderr: new PassThrough() }
  let code: ExitCode | null = null
  const carry = async (work: Parameters<Parameters<typeof emqttCommands>[0]>[0]): Promise<void> => {
    const { signal } = new AbortController()
    code = await work({ env: {}, ...streams, signal, version: '0' } as unknown as Parameters<typeof work>[0])
  }
  const commands: Command[] = [...emqttCommands(carry), mqttxCommand(carry)]
  const command = commands.find(candidate => candidate.name() === args[0])
  await command?.exitOverride().enablePositionalOptions().parseAsync(args.slice(1), { from: 'user' })
  streams.stdout.end()
  streams.stderr.end()
  return { code, stdout: await text(streams.stdout), stderr: await text(streams.stderr) }
}
