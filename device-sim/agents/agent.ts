// An agent: lends this machine to a coordinator's run. Each connection of a trusted coordinator is one worker process here, which
// hears and says what a worker of the coordinator's machine would. Refuses everybody else before reading a byte.
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { availableParallelism } from 'node:os'
import { createServer, type TLSSocket } from 'node:tls'
import type { Identity } from '../enrollment/identity.ts'
import { RunFailed } from '../failure.ts'
import type { Channel } from '../workers/channel.ts'
import { createClockEstimate } from '../workers/clock-estimate.ts'
import { descriptorsMax } from '../workers/descriptors.ts'
import { localWorker } from '../workers/local-worker.ts'
import { machineNow } from '../workers/machine-clock.ts'
import type { ToWorker } from '../workers/protocol.ts'
import type { WorkerRuntime } from '../workers/runtime.ts'
import { openPeer, type Peer } from './frames.ts'
import { fingerprintOf } from './identity.ts'
import type { AgentHello, FromAgent, ToAgent } from './messages.ts'

export type AgentOptions = {
  identity: Identity
  /** Fingerprints of the coordinators' certificates. */
  trusted: readonly string[]
  host: string
  port: number
  /** Local addresses that devices connect from. */
  sources: string[]
  workersMax: number
  runtime: WorkerRuntime
  version: string
  say: (text: string) => void
}

export type Agent = { host: string; port: number; close(): Promise<void> }

/** A peer that says nothing for so long is gone: both sides speak every two seconds. */
export const SILENCE_MAX_MS = 15_000
const ASK_EVERY_MS = 2_000
/** Questions for the time before a worker starts. */
const FIRST_QUESTIONS = 8
const HANDSHAKE_MS = 5_000
/** Of a run that begins, besides its workers. */
const CONNECTIONS_SPARE = 8

/** @throws RunFailed where the address cannot be had. */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const { identity, trusted, say } = options
  const sockets = new Set<TLSSocket>()
  /** The run that this machine is lent to, and how many connections it has. */
  let lent: { run: string; workers: number } | null = null
  const server = createServer({
    key: identity.key,
    cert: identity.certificates,
    minVersion: 'TLSv1.3',
    requestCert: true,
    // Certificates are known by fingerprint: no CA signed them.
    rejectUnauthorized: false,
    handshakeTimeout: HANDSHAKE_MS,
  })
  server.maxConnections = options.workersMax + CONNECTIONS_SPARE
  server.on('tlsClientError', () => {})
  server.on('secureConnection', (socket: TLSSocket) => {
    const fingerprint = fingerprintOf(socket.getPeerX509Certificate())
    if (fingerprint === null || !trusted.includes(fingerprint)) {
      say(`refused ${socket.remoteAddress}: ${fingerprint ?? 'no certificate'} is not trusted here`)
      socket.on('error', () => {}).destroy()
      return
    }
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    serve(socket)
  })

  /** Takes one place of the run; null with the reason where it cannot be had. */
  function lend(run: string): { release(): void } | string {
    if (lent && lent.run !== run) return 'it takes part in another run'
    if (lent && lent.workers >= options.workersMax) return `it starts at most ${options.workersMax} workers`
    lent ??= { run, workers: 0 }
    lent.workers++
    if (lent.workers === 1) say(`run ${run} begins`)
    return {
      release() {
        if (!lent || --lent.workers > 0) return
        lent = null
        say(`run ${run} has ended`)
      },
    }
  }

  function serve(socket: TLSSocket): void {
    let worker: Channel | null = null
    let place: { release(): void } | null = null
    let asking: NodeJS.Timeout | null = null
    let questions = 0
    const clock = createClockEstimate()
    const send = (message: FromAgent): void => peer.send(message)
    const ask = (): void => send({ is: 'ask', at: machineNow() })
    const peer: Peer = openPeer(socket, SILENCE_MAX_MS, {
      message(said) {
        const message = said as ToAgent
        if (message.do === 'tell') onTime(message.asked, message.now)
        else if (message.do === 'open') open(message.run)
        else if (worker) worker.send(message.do === 'prepare' ? withSources(message) : message)
      },
      ended() {
        if (asking) clearInterval(asking)
        worker?.kill()
        if (!worker) place?.release()
      },
    })
    asking = setInterval(ask, ASK_EVERY_MS)
    send(helloOf(options))

    function open(run: string): void {
      const lending = place ? 'this connection has its worker' : lend(String(run).slice(0, 100))
      if (typeof lending === 'string') {
        send({ is: 'refused', why: lending })
        return
      }
      place = lending
      ask()
    }

    function onTime(asked: number, now: number): void {
      const corrected = clock.add(asked, now, machineNow())
      questions++
      if (worker) {
        if (corrected) worker.send({ do: 'clock', offsetMs: clock.offsetMs() })
        send({ is: 'clock', errorMs: clock.errorMs(machineNow()) })
      } else if (place && questions < FIRST_QUESTIONS) ask()
      else if (place) begin()
    }

    function begin(): void {
      worker = localWorker('', options.runtime).open({
        message: send,
        ended(how) {
          place?.release()
          send({ is: 'worker-ended', how })
          socket.end()
        },
      })
      worker.send({ do: 'clock', offsetMs: clock.offsetMs() })
      send({ is: 'clock', errorMs: clock.errorMs(machineNow()) })
      send({ is: 'opened' })
    }
  }

  function withSources(message: Extract<ToWorker, { do: 'prepare' }>): ToWorker {
    return { ...message, plan: { ...message.plan, sources: options.sources } }
  }

  try {
    server.listen(options.port, options.host)
    await once(server, 'listening')
  } catch (error) {
    throw new RunFailed(`cannot listen on ${options.host}:${options.port}: ${(error as Error).message}`)
  }
  const { address, port } = server.address() as AddressInfo
  return {
    host: address,
    port,
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise<void>(resolve => server.close(() => resolve()))
    },
  }
}

function helloOf({ version, sources, runtime }: AgentOptions): AgentHello {
  return {
    is: 'hello',
    version,
    node: process.version,
    runtime: `${runtime.name} ${runtime.version}`,
    cpus: availableParallelism(),
    descriptors: descriptorsMax(),
    sources,
  }
}

/** A name for a run that no other coordinator's has. */
export function newRunName(): string {
  return randomUUID().slice(0, 8)
}
