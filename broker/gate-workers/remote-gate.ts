// A gate worker as the engine's process sees it: admitted connections, questions about limits, things to log and count.
// When the worker dies, its connections and handshakes no longer count towards the limits.
import type { ProcessFigures } from '../../admin/process-figures.ts'
import type { ArrivalNote } from '../../db/issuers/arrivals.ts'
import { type Reason, reasons } from '../../db/reason.ts'
import type { ConnectionHandle, ConnectionHandler } from '../connection-handler.ts'
import type { GateObserver } from '../gate/index.ts'
import type { HandshakeOutcome, Limits } from '../gate/limits/connection-limits.ts'
import { createUnreadPieces } from '../gate/transport/unread-pieces.ts'
import { type Frame, kinds, UNREAD } from './frames.ts'
import { readOpened } from './open-frame.ts'
import { createRemoteStream, type RemoteStream } from './remote-stream.ts'
import type { SocketPair } from './socket-pair.ts'

type RemoteGate = {
  /** Throws where no gate sends such a frame: the pair is closed then, and the gate is gone. */
  receive(frame: Frame): void
  /** The gate is gone: its connections end, and what it counted is free again. */
  gone(): void
}

type RemoteGateOptions = {
  pair: SocketPair
  handleConnection: ConnectionHandler
  /** The device that a certificate is listed for, where the gate could not read it; null for none. */
  deviceOf: (fingerprint: string) => string | null
  noteArrival: (arrival: ArrivalNote) => boolean
  /** How long ago PostgreSQL was last heard, in ms; null on one machine. */
  replicaAgeMs: (() => number) | null
  limits: Limits
  observer: GateObserver & { registryInDoubt(error: unknown): void; figures(figures: ProcessFigures): void }
}

type RemoteConnection = RemoteStream & { handed: ConnectionHandle | null }

export function createRemoteGate(options: RemoteGateOptions): RemoteGate {
  const { pair, handleConnection, limits, observer } = options
  const passages = new Map<number, RemoteConnection>()
  const handshakes = new Map<string, number>()
  const unread = createUnreadPieces()
  let connections = 0
  let isGone = false

  function ask(question: number, address: string): void {
    limits.begin(address, refusal => {
      if (refusal === null) {
        connections += 1
        handshakes.set(address, (handshakes.get(address) ?? 0) + 1)
      }
      if (isGone)
        giveBack() // its turn came too late
      else pair.send(kinds.answer, question, refusal ?? '')
    })
  }

  function handshakeEnded(said: string): void {
    const blank = said.indexOf(' ')
    const outcome = outcomes.find(one => one === said.slice(0, blank))
    if (outcome === undefined) throw new Error(`a handshake that ended as ${said}`)
    endHandshake(said.slice(blank + 1), outcome)
  }

  function endHandshake(address: string, outcome: HandshakeOutcome): void {
    const left = (handshakes.get(address) ?? 0) - 1
    if (left < 0) return
    if (left === 0) handshakes.delete(address)
    else handshakes.set(address, left)
    limits.handshakeEnded(address, outcome)
  }

  function connectionEnded(): void {
    if (connections === 0) return
    connections -= 1
    limits.connectionEnded()
  }

  function open(connection: number, payload: Buffer): void {
    if (passages.has(connection)) throw new Error(`connection ${connection} is open already`)
    const opened = readOpened(payload)
    const { identity, address } = opened
    const deviceId = identity.deviceId === UNREAD ? options.deviceOf(identity.fingerprint) : identity.deviceId
    if (deviceId === null) {
      observer.refused('registry_unavailable', { address, fingerprint: identity.fingerprint })
      pair.send(kinds.close, connection)
      return
    }
    const remote = createRemoteStream(connection, pair, () => passages.delete(connection))
    unread.watch(remote.stream)
    const passage: RemoteConnection = { ...remote, handed: null }
    passages.set(connection, passage)
    passage.handed = handleConnection({
      ...opened,
      stream: remote.stream,
      identity: { ...identity, deviceId },
    })
  }

  return {
    receive({ kind, connection, payload }) {
      const passage = passages.get(connection) // gone where device and engine close at the same time
      switch (kind) {
        case kinds.data:
          return passage?.data(payload)
        case kinds.credit:
          return passage?.credit(payload.readDoubleBE())
        case kinds.end:
          return passage?.end()
        case kinds.close:
          return passage?.closed()
        case kinds.drop:
          return passage?.handed?.drop(reasonIn(payload.toString()))
        case kinds.open:
          return open(connection, payload)
        case kinds.ask:
          return ask(connection, payload.toString())
        case kinds.askAge:
          return pair.send(kinds.age, 0, options.replicaAgeMs?.() ?? 0)
        case kinds.handshakeEnded:
          return handshakeEnded(payload.toString())
        case kinds.handshakeTook:
          return observer.handshakeTook(payload.readDoubleBE())
        case kinds.admissionTook:
          return observer.admissionTook(payload.readDoubleBE())
        case kinds.connectionEnded:
          return connectionEnded()
        case kinds.arrival:
          return noteArrival(JSON.parse(payload.toString()))
        case kinds.event:
          return report(JSON.parse(payload.toString()))
        default:
          throw new Error(`a frame of kind ${kind}`)
      }
    },
    gone() {
      isGone = true
      for (const passage of [...passages.values()]) passage.closed()
      giveBack()
    },
  }

  function giveBack(): void {
    for (const [address, count] of [...handshakes]) {
      for (let left = count; left > 0; left -= 1) endHandshake(address, 'gone')
    }
    while (connections > 0) connectionEnded()
  }

  function noteArrival({ der, ...rest }: Omit<ArrivalNote, 'der'> & { der: string }): void {
    options.noteArrival({ ...rest, der: Buffer.from(der, 'base64') })
  }

  function report({ name, values }: { name: string; values: never[] }): void {
    if (!isReported(name)) throw new Error(`a gate reports ${name}`)
    if (name === 'registryInDoubt' || name === 'trustNotReloaded') observer[name](new Error(values[0]))
    else if (name === 'refused') observer.refused(reasonIn(values[0]), ...(values.slice(1) as [never, never]))
    else (observer[name] as (...given: never[]) => void)(...values)
  }
}

const outcomes = ['known', 'stranger', 'gone'] as const
const reported = [
  'refused',
  'refusalDelayed',
  'trustReloaded',
  'trustNotReloaded',
  'registryInDoubt',
  'figures',
] as const

const isReported = (name: string): name is (typeof reported)[number] =>
  (reported as readonly string[]).includes(name)

function reasonIn(value = ''): Reason {
  if (!Object.hasOwn(reasons, value)) throw new Error(`a reason of ${value}`)
  return value as Reason
}
