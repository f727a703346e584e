// `rollcall node …`: the brokers, draining one, and letting it take sessions again.
import { setTimeout } from 'node:timers/promises'
import { Command } from 'commander'
import type { BrokerNode, Client, NodeChange, NodeDrain } from '../../client/index.ts'
import { CommandFailed, printable } from '../errors.ts'
import { createMeter, retryAcrossRestarts } from '../job/watch.ts'
import { durationSeconds } from '../options.ts'
import { type Column, type Format, printDocument, printPages } from '../output/format.ts'
import { type ServiceFlags, withService, withServiceOptions } from '../service-connection.ts'

type Flags = ServiceFlags & { output: Format }
type DrainFlags = Flags & { over: number; serverReference?: string; moved?: true; wait?: true }

const DEFAULT_OVER_SECONDS = 60
const LOOK_MS = 500

const columns: readonly Column<BrokerNode>[] = [
  { heading: 'BROKER', cell: ({ node }) => node },
  { heading: 'VERSION', cell: ({ version }) => version },
  { heading: 'HEALTHY', cell: ({ healthy }) => (healthy ? 'yes' : 'no') },
  { heading: 'STATE', cell: sessionsState },
  { heading: 'SESSIONS', cell: ({ sessions }) => sessions },
  { heading: 'SEEN', cell: ({ lastSeen }) => lastSeen },
]

export function nodeCommand(): Command {
  const node = new Command('node').description('Brokers: those that run, and draining one of them.')
  node.addCommand(
    withServiceOptions(new Command('list'))
      .summary('list the brokers that run')
      .action(async (flags: Flags) => {
        await withService(flags, client => printPages(client.nodes.pages(), columns, flags.output))
      }),
  )
  node.addCommand(drainCommand())
  node.addCommand(
    withServiceOptions(new Command('resume'))
      .summary('let a drained broker take sessions again')
      .argument('<node>', 'name of the broker')
      .action(async (name: string, flags: Flags) => {
        const done = await withService(flags, client => client.nodes.resume(name))
        await printDocument(shown(done, flags.output), flags.output)
        const what = done.changed ? 'takes sessions again' : 'was not drained'
        process.stderr.write(`${printable(done.name)} ${what}\n`)
      }),
  )
  return node
}

function drainCommand(): Command {
  return withServiceOptions(new Command('drain'))
    .summary('have a broker take no session, and end those that it has over a time')
    .description(
      'The broker takes no session any more and is not ready, through restarts too, until it is resumed. Its sessions end one after\n' +
        'the other; by MQTT 5 clients are told 0x9C (use another server) with the server reference, by 3.1.1 they are closed.',
    )
    .argument('<node>', 'name of the broker')
    .option('--over <time>', 'over how long its sessions end', durationSeconds, DEFAULT_OVER_SECONDS)
    .option(
      '--server-reference <host:port>',
      'where clients of MQTT 5 are told to go; several with blanks between them',
    )
    .option('--moved', 'tell them 0x9D (server moved): to go there from now on')
    .option('--wait', 'until no session is left')
    .action(async (name: string, { over, serverReference, moved, wait, ...flags }: DrainFlags) => {
      const order: NodeDrain = {
        overSeconds: over,
        ...(serverReference !== undefined && { serverReference }),
        ...(moved && { moved }),
      }
      await withService(flags, async client => {
        const done = await client.nodes.drain(name, order)
        const node = wait ? await waitUntilDrained(client, name) : done.node
        await printDocument(shown({ ...done, node }, flags.output), flags.output)
        process.stderr.write(`${printable(name)} ${stateOf(node, done.changed)}\n`)
      })
    })
}

/** What fits in a table, of the answer to an order. */
function shown(done: NodeChange, format: Format): Record<string, unknown> {
  if (format !== 'table' || done.node === null) return done
  return { broker: done.name, state: sessionsState(done.node), sessions: done.node.sessions }
}

function sessionsState({ drain }: BrokerNode): string {
  return drain?.state ?? 'takes sessions'
}

function stateOf(node: BrokerNode | null, changed: boolean): string {
  if (node === null) return 'does not run; it is drained when it is started'
  if (node.drain?.state === 'drained') return 'is drained: it has no session'
  const before = changed ? 'is being drained' : 'was being drained before'
  return `${before}: ${node.sessions} ${node.sessions === 1 ? 'session is' : 'sessions are'} left`
}

/** Gives the broker once it is drained, or null where it was stopped meanwhile. Fails where it was resumed. */
async function waitUntilDrained(client: Client, name: string): Promise<BrokerNode | null> {
  const meter = createMeter()
  let first: number | null = null
  try {
    for (;;) {
      const node = await retryAcrossRestarts(() => find(client, name))
      if (node === null || node.drain?.state === 'drained') return node
      if (node.drain === null)
        throw new CommandFailed(`${name} was resumed`, 'somebody else did that: rollcall audit search')
      first ??= node.sessions
      meter.show('draining', Math.max(0, first - node.sessions), first, 'sessions')
      await setTimeout(LOOK_MS)
    }
  } finally {
    meter.clear()
  }
}

async function find(client: Client, name: string): Promise<BrokerNode | null> {
  for await (const page of client.nodes.pages()) {
    const node = page.find(one => one.node === name)
    if (node !== undefined) return node
  }
  return null
}
