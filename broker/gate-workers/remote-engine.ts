// The engine as a gate worker sees it: a connection handler that sends frames, limits counted for all gates together, and an
// observer whose calls are logged and counted in the engine's process.
import type { ProcessFigures } from '../../admin/process-figures.ts'
import type { ArrivalNote } from '../../db/issuers/arrivals.ts'
import type { Reason } from '../../db/reason.ts'
import type { AdmittedConnection, ConnectionHandler } from '../connection-handler.ts'
import type { GateObserver } from '../gate/index.ts'
import type { Limits } from '../gate/limits/connection-limits.ts'
import { createUnreadPieces } from '../gate/transport/unread-pieces.ts'
import { type Frame, kinds } from './frames.ts'
import { openPayload } from './open-frame.ts'
import type { SocketPair } from './socket-pair.ts'
import { createReceiptCount, createSendWindow, WINDOW_BYTES } from './window.ts'

type RemoteEngine = {
  handleConnection: ConnectionHandler
  limits: Limits
  /** Always true: a device whose arrival is not recorded now connects again. */
  noteArrival: (arrival: ArrivalNote) => boolean
  observer: GateObserver & { registryInDoubt(error: unknown): void; figures(figures: ProcessFigures): void }
  /** Acts on a frame about a connection or a question; false where it is about the gate as a whole. */
  receive(frame: Frame): boolean
}

type RemoteConnection = { credit(bytes: number): void; data(bytes: Buffer): void; end(): void; close(): void }

/** Questions waiting for the engine, which keeps its own bound. More than this means that it does not answer. */
const QUESTIONS_MAX = 65_536

/** How long the last bytes of an ended connection may take to go out. */
const LINGER_MS = 1_000

export function createRemoteEngine(pair: SocketPair): RemoteEngine {
  const passages = new Map<number, RemoteConnection>()
  const questions = new Map<number, (refusal: Reason | null) => void>()
  const pieces = createUnreadPieces()
  let lastNumber = 0

  /** Numbers wrap; one still in use is passed over. */
  function freeNumber(used: ReadonlyMap<number, unknown>): number {
    do lastNumber = lastNumber === 0xffff_ffff ? 1 : lastNumber + 1
    while (used.has(lastNumber))
    return lastNumber
  }

  const limits: Limits = {
    begin(address, answer) {
      if (questions.size >= QUESTIONS_MAX) return answer('handshakes_exceeded')
      const number = freeNumber(questions)
      questions.set(number, answer)
      pair.send(kinds.ask, number, address)
    },
    handshakeEnded: (address, outcome) => pair.send(kinds.handshakeEnded, 0, `${outcome} ${address}`),
    connectionEnded: () => pair.send(kinds.connectionEnded, 0),
  }

  function handleConnection({ stream, ...opened }: AdmittedConnection) {
    const number = freeNumber(passages)
    pair.send(kinds.open, number, openPayload(opened))
    const window = createSendWindow()
    const consumed = createReceiptCount()
    let closed = false
    let open = true

    // Listens for 'readable' to the end, also while the window is full: without a listener the stream would lose its bytes.
    function pass(): void {
      while (open) {
        // A WebSocket message is one piece, and may be longer than a window, or than a frame.
        const bytes: Buffer | null = stream.read(
          stream.readableLength > WINDOW_BYTES ? WINDOW_BYTES : undefined,
        )
        if (bytes === null) return
        pair.send(kinds.data, number, bytes)
        open = window.take(bytes.length)
      }
      pieces.add(stream)
    }
    stream.on('readable', pass)
    stream.once('end', () => pair.send(kinds.end, number))
    stream.on('error', () => {})
    stream.once('close', () => {
      passages.delete(number)
      pieces.delete(stream)
      if (!closed) pair.send(kinds.close, number)
    })

    passages.set(number, {
      credit(bytes) {
        open = window.give(bytes)
        if (open) pieces.delete(stream)
        pass()
      },
      data(bytes) {
        stream.write(bytes, () => {
          const credit = consumed(bytes.length)
          if (credit > 0) pair.send(kinds.credit, number, credit)
        })
      },
      end: () => void stream.end(),
      close() {
        closed = true
        // Bytes written before an orderly end are still sent.
        if (!stream.writableEnded || stream.writableFinished) return void stream.destroy()
        stream.once('finish', () => stream.destroy())
        const deadline = setTimeout(() => stream.destroy(), LINGER_MS)
        stream.once('close', () => clearTimeout(deadline))
      },
    })
    pass()
    return { drop: (reason: Reason) => pair.send(kinds.drop, number, reason) }
  }

  const event = (name: keyof RemoteEngine['observer'], ...values: unknown[]) =>
    pair.sendJson(kinds.event, 0, { name, values })

  return {
    handleConnection,
    limits,
    noteArrival({ der, ...rest }) {
      pair.sendJson(kinds.arrival, 0, { ...rest, der: der.toString('base64') })
      return true
    },
    observer: {
      refused: (...values) => event('refused', ...values),
      handshakeTook: ms => pair.send(kinds.handshakeTook, 0, ms),
      refusalDelayed: () => event('refusalDelayed'),
      admissionTook: ms => pair.send(kinds.admissionTook, 0, ms),
      trustReloaded: issuers => event('trustReloaded', issuers),
      trustNotReloaded: error => event('trustNotReloaded', (error as Error).message),
      registryInDoubt: error => event('registryInDoubt', (error as Error).message),
      figures: figures => event('figures', figures),
    },
    receive({ kind, connection, payload }) {
      if (kind === kinds.answer) {
        const answer = questions.get(connection)
        questions.delete(connection)
        answer?.(payload.length === 0 ? null : (payload.toString() as Reason))
        return true
      }
      if (connection === 0) return false
      const passage = passages.get(connection) // gone where device and engine close at the same time
      if (kind === kinds.data) passage?.data(payload)
      if (kind === kinds.end) passage?.end()
      if (kind === kinds.close) passage?.close()
      if (kind === kinds.credit) passage?.credit(payload.readDoubleBE())
      return true
    },
  }
}
