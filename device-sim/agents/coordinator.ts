// The agents of a run as a coordinator reaches them: mutual TLS, each side known by fingerprint; a connection for each worker.
// Does not know what workers are told.
import { connect } from 'node:tls'
import type { Identity } from '../enrollment/identity.ts'
import { RunFailed } from '../failure.ts'
import type { ChannelListener, WorkerSlot } from '../workers/channel.ts'
import { machineNow } from '../workers/machine-clock.ts'
import type { AgentAddress } from './addresses.ts'
import { newRunName, SILENCE_MAX_MS } from './agent.ts'
import { openPeer, type Peer } from './frames.ts'
import { fingerprintOf } from './identity.ts'
import { type AgentHello, type FromAgent, fromAgent, type ToAgent } from './messages.ts'

export type AgentsOptions = {
  addresses: readonly AgentAddress[]
  identity: Identity
  version: string
  /** Of the run. */
  groups: number
  signal: AbortSignal
}

export type ConnectedAgent = AgentHello & {
  name: string
  /** Opens so many workers there. @throws RunFailed where it cannot. */
  open(workers: number): Promise<WorkerSlot[]>
  /** The most by which its clock, corrected, was wrong in this run. */
  clockErrorMs(): number
}

export type Agents = { connected: ConnectedAgent[]; close(): void }

const CONNECT_MS = 10_000
/** Of one worker: its process and eight questions for the time. */
const OPEN_MS = 30_000

/** @throws RunFailed where one of them is not there, is not the one that was named, or is of another version. */
export async function connectAgents(options: AgentsOptions): Promise<Agents> {
  const run = newRunName()
  const lines: AgentLine[] = []
  const close = (): void => {
    for (const line of lines) line.peer.close('the run has ended')
  }
  const dial = async (address: AgentAddress): Promise<AgentLine> => {
    const line = await openLine(address, options)
    lines.push(line)
    return line
  }
  try {
    const connected = await Promise.all(
      options.addresses.map(async (address): Promise<ConnectedAgent> => {
        const first = await dial(address)
        const { hello } = first
        if (hello.version !== options.version) {
          throw new RunFailed(
            `agent ${address.name} is rollcall-sim ${hello.version}, this is ${options.version}`,
            {
              hint: 'install the same version on all machines',
            },
          )
        }
        const own = [first]
        return {
          ...hello,
          name: address.name,
          clockErrorMs: () => Math.max(...own.map(line => line.clockErrorMs())),
          async open(workers) {
            while (own.length < workers) own.push(await dial(address))
            await Promise.all(own.map(line => line.begin(run)))
            return own.map((line, index) => ({
              name: `agent ${address.name}, worker ${index + 1}`,
              open: line.open,
            }))
          },
        }
      }),
    )
    return { connected, close }
  } catch (error) {
    close()
    throw error
  }
}

type AgentLine = {
  hello: AgentHello
  peer: Peer
  begin(run: string): Promise<void>
  open: WorkerSlot['open']
  clockErrorMs(): number
}

async function openLine(address: AgentAddress, options: AgentsOptions): Promise<AgentLine> {
  const { name } = address
  const failed = (why: string, hint: string): RunFailed => new RunFailed(`agent ${name}: ${why}`, { hint })
  const start = `start it there: rollcall-sim agent --listen ${name} --trust ${options.identity.fingerprint}`
  let awaited: PromiseWithResolvers<FromAgent> | null = Promise.withResolvers<FromAgent>()
  let listener: ChannelListener | null = null
  let gone: string | null = null
  let clockErrorMs = 0
  const greeting = awaited.promise
  const socket = connect({
    host: address.host,
    port: address.port,
    key: options.identity.key,
    cert: options.identity.certificates,
    minVersion: 'TLSv1.3',
    // Known by fingerprint, below: no CA signed it.
    rejectUnauthorized: false,
  })
  const late = setTimeout(() => {
    peer?.close('no answer')
    socket.destroy(new Error('no answer'))
  }, CONNECT_MS)
  let peer: Peer | null = null

  function onGone(how: string): void {
    gone = how
    awaited?.reject(failed(how, start))
    awaited = null
    listener?.ended(how)
  }

  function onMessage(said: unknown): void {
    const message = fromAgent(said, options.groups)
    switch (message.is) {
      case 'ask':
        peer?.send({ do: 'tell', asked: message.at, now: machineNow() } satisfies ToAgent)
        return
      case 'clock':
        clockErrorMs = Math.max(clockErrorMs, message.errorMs)
        return
      case 'hello':
      case 'opened':
      case 'refused':
        awaited?.resolve(message)
        awaited = null
        return
      case 'worker-ended':
        peer?.close(message.how)
        return
      default:
        listener?.message(message)
    }
  }

  socket.once('secureConnect', () => {
    const seen = fingerprintOf(socket.getPeerX509Certificate())
    if (seen !== address.fingerprint) {
      awaited?.reject(
        failed(
          `its certificate has the fingerprint ${seen}, not the one of --agents`,
          'is it the right machine?',
        ),
      )
      awaited = null
      socket.destroy()
      return
    }
    peer = openPeer(socket, SILENCE_MAX_MS, { message: onMessage, ended: onGone })
  })
  const refused = (error: NodeJS.ErrnoException): void => {
    if (!peer) onGone(error.code ?? error.message)
  }
  socket.on('error', refused).once('close', () => refused(new Error('it closed the connection')))
  const abort = (): void => void socket.destroy()
  options.signal.addEventListener('abort', abort, { once: true })
  let hello: FromAgent
  try {
    hello = await greeting
  } finally {
    clearTimeout(late)
    options.signal.removeEventListener('abort', abort)
  }
  if (hello.is !== 'hello' || !peer) throw failed('it does not greet as an agent does', start)
  const line: Peer = peer

  return {
    hello,
    peer: line,
    clockErrorMs: () => clockErrorMs,
    async begin(run) {
      if (gone !== null) throw failed(gone, start)
      awaited = Promise.withResolvers<FromAgent>()
      const { promise } = awaited
      const overdue = setTimeout(() => line.close('no worker within 30 s'), OPEN_MS)
      line.send({ do: 'open', run } satisfies ToAgent)
      const answer = await promise.finally(() => clearTimeout(overdue))
      if (answer.is === 'refused') throw failed(answer.why, 'wait for its end, or use another machine')
    },
    open(attached) {
      listener = attached
      if (gone !== null) {
        const how = gone
        queueMicrotask(() => attached.ended(how))
      }
      return { send: message => line.send(message), kill: () => line.close('killed') }
    },
  }
}
