// The gate workers of a broker: spawned, restarted, reloaded. To the rest of the broker they are one gate. The kernel distributes
// connections among them; a worker that dies loses only its own.
import { type ChildProcess, spawn } from 'node:child_process'
import { createServer, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { ProcessFigures } from '../../admin/process-figures.ts'
import type { ArrivalNote } from '../../db/issuers/arrivals.ts'
import type { Registry } from '../../db/open.ts'
import type { ConnectionHandler } from '../connection-handler.ts'
import type { Gate, GateObserver } from '../gate/index.ts'
import type { Limits } from '../gate/limits/connection-limits.ts'
import type { BrokerSettings } from '../settings/validation.ts'
import { kinds } from './frames.ts'
import { createRemoteGate } from './remote-gate.ts'
import { type SilenceTimes, watchSilence } from './silence.ts'
import { createSocketPair, type SocketPair } from './socket-pair.ts'
import type { GateWorkerStart } from './worker.ts'

export type GatePoolOptions = {
  data: string
  /** The registry that gates read: the file of this machine, or the replica that the engine's process keeps. */
  registry: Pick<Registry, 'file'>
  /** How long ago PostgreSQL was last heard, in ms; null on one machine. */
  replicaAgeMs: (() => number) | null
  host: string
  port: number
  gates: number
  /** Tests do not wait for a minute. */
  silence?: SilenceTimes
  settings: BrokerSettings
  ticketKeys: () => Buffer
  limits: Limits
  handleConnection: ConnectionHandler
  selfRegistration: { note: (arrival: ArrivalNote) => boolean }
  deviceOf: (fingerprint: string) => string | null
  observer: GateObserver & {
    registryInDoubt(error: unknown): void
    gateReady(number: number, pid: number): void
    gateFigures(number: number, figures: ProcessFigures): void
    gateDied(number: number, how: string): void
  }
}

type GatePool = Gate & {
  /** Process IDs of the gates that live. */
  pids(): number[]
}

type Member = { child: ChildProcess; pair: SocketPair; ready: boolean; gone: Promise<void> }

// Sources run as TypeScript, the published package as JavaScript.
const ENTRY = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? 'worker.ts' : 'worker.js', import.meta.url),
)
/** A worker that takes longer hangs. Generous, because a busy machine starts processes slowly. */
const START_MS = 60_000
/** How long a gate may take to end once the engine has drained. */
const STOP_MS = 2_000
/** A gate tells its figures every five seconds. One that is silent for a minute is killed, and started again. */
const SILENCE: SilenceTimes = { everyMs: 5_000, looks: 12 }
const RESTART_MIN_MS = 100
const RESTART_MAX_MS = 5_000
/** A gate that lived so long is restarted at once. */
const STEADY_MS = 10_000

/** Starts the gates and resolves when all of them listen. Rejects with the error of `listen`, or of what a gate lacks. */
export async function openGatePool(options: GatePoolOptions): Promise<GatePool> {
  const { observer } = options
  const claim = await claimPort(options.host, options.port)
  const { port } = claim
  const members = new Map<number, Member>()
  const restarts = new Set<NodeJS.Timeout>()
  let stopping = false

  function start(number: number, delayMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const child = spawn(process.execPath, [...process.execArgv, ENTRY], {
        stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
      })
      const bornAt = performance.now()
      const deadline = setTimeout(() => child.kill('SIGKILL'), START_MS)
      const silence = watchSilence(options.silence ?? SILENCE, () => {
        if (!member.ready) return
        hung = true
        child.kill('SIGKILL')
      })
      let hung = false
      let failure: Error | null = null
      const pair = createSocketPair(
        child.stdio[3] as unknown as Socket,
        frame => {
          silence.heard()
          if (frame.kind === kinds.ready) {
            clearTimeout(deadline)
            member.ready = true
            observer.gateReady(number, child.pid ?? 0)
            resolve()
          } else if (frame.kind === kinds.failed) {
            const { code, message } = JSON.parse(frame.payload.toString())
            failure = Object.assign(new Error(message), { code })
            child.kill('SIGKILL')
          } else gate.receive(frame)
        },
        () => gate.gone(),
        // What a read led to goes out behind it, and what connections are sent is gathered for a turn already (mqtt/connection/output.ts).
        queueMicrotask,
      )
      const gate = createRemoteGate({
        ...options,
        observer: { ...observer, figures: figures => observer.gateFigures(number, figures) },
        noteArrival: options.selfRegistration.note,
        pair,
      })
      const gone = new Promise<void>(left => {
        const end = (how: string) => {
          clearTimeout(deadline)
          silence.stop()
          pair.destroy()
          members.delete(number)
          left()
          if (!member.ready) reject(failure ?? new Error(`gate ${number} did not start: ${how}`))
          else if (!stopping) observer.gateDied(number, hung ? 'it hung and was killed' : how)
          if (!stopping && (member.ready || delayMs > 0)) {
            const steady = performance.now() - bornAt >= STEADY_MS
            restart(
              number,
              steady ? RESTART_MIN_MS : Math.min(Math.max(delayMs * 2, RESTART_MIN_MS), RESTART_MAX_MS),
            )
          }
        }
        child.once('error', error => end(error.message))
        child.once('exit', (code, signal) => end(signal ?? `exit code ${code}`))
      })
      const member: Member = { child, pair, ready: false, gone }
      members.set(number, member)
      const { data, host, settings } = options
      const ticketKeys = options.ticketKeys().toString('base64')
      pair.sendJson(kinds.begin, 0, {
        ...{ data, host, port, settings, ticketKeys },
        registryFile: options.registry.file,
        isReplica: options.replicaAgeMs !== null,
      } satisfies GateWorkerStart)
    })
  }

  function restart(number: number, delayMs: number): void {
    const timer = setTimeout(() => {
      restarts.delete(timer)
      start(number, delayMs).catch(error => observer.gateDied(number, error.message))
    }, delayMs)
    restarts.add(timer)
  }

  async function stop(): Promise<void> {
    stopping = true
    for (const timer of restarts) clearTimeout(timer)
    const last = [...members.values()]
    for (const { pair } of last) pair.send(kinds.stop, 0)
    const deadline = setTimeout(() => {
      for (const { child } of last) child.kill('SIGKILL')
    }, options.settings.drainMs + STOP_MS)
    await Promise.all(last.map(({ gone }) => gone))
    clearTimeout(deadline)
  }

  try {
    await Promise.all(Array.from({ length: options.gates }, (_, number) => start(number + 1, 0)))
  } catch (error) {
    stopping = true
    for (const { child } of members.values()) child.kill('SIGKILL')
    throw error
  } finally {
    claim.release()
  }

  const tellAll = (kind: typeof kinds.reload | typeof kinds.ticketKeys, keys: Buffer) => {
    for (const { pair } of members.values()) pair.send(kind, 0, keys)
  }
  return {
    port,
    reload: keys => tellAll(kinds.reload, keys),
    useTicketKeys: keys => tellAll(kinds.ticketKeys, keys),
    changed({ kind, deviceId, fingerprint }) {
      for (const { pair } of members.values())
        pair.sendJson(kinds.changed, 0, { kind, deviceId, fingerprint })
    },
    stop,
    pids: () => [...members.values()].flatMap(({ child }) => child.pid ?? []),
  }
}

/**
 * The port that the gates are to share. Listening there without SO_REUSEPORT proves that the port is free: gates set
 * SO_REUSEPORT, and would not notice another broker that sets it too. A port that the kernel chose is free anyway, and is held
 * until the gates have it, or the kernel could give it to another process.
 */
function claimPort(host: string, port: number): Promise<{ port: number; release(): void }> {
  return new Promise((resolve, reject) => {
    const server = createServer(socket => socket.destroy())
    server.once('error', reject)
    server.listen({ host, port, reusePort: port === 0 }, () => {
      const { port: found } = server.address() as { port: number }
      if (port === 0) resolve({ port: found, release: () => server.close() })
      else server.close(() => resolve({ port: found, release() {} }))
    })
  })
}
