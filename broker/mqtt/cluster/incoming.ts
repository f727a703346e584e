// The messages of other nodes that are in the log, in the order of each node: a digest says which there are once they are durable, the
// bus brings those that are asked for before it, and what did not come is read from the log. So none is missed, and none twice.
import type { LogRow } from '../../../db/cluster/cluster-store.ts'
import type { Envelope, EnvelopeCodec } from './message-codec.ts'

/** Messages from `first` on. One to be retained is for all nodes: `inline` where it fits. */
export type Digest = { from: number; first: number; entries: readonly DigestEntry[] }
/** `nodes` are those whose members of a shared subscription get it. */
export type DigestEntry = {
  topic: string
  nodes: readonly number[]
  retained: { version: number; inline: Buffer | null } | null
}

export type Incoming = ReturnType<typeof createIncoming>

type Publisher = {
  node: number
  /** All messages up to this number are taken. */
  taken: number
  digests: Digest[]
  bodies: Map<number, Envelope>
  bodyBytes: number
  isWorking: boolean
}

const BODY_BYTES_MAX = 33_554_432
const DIGESTS_MAX = 10_000
const PAGE = 500
const RETRY_MS = 100

export function createIncoming(parts: {
  me: number
  decode: EnvelopeCodec['decode']
  isWanted(topic: string): boolean
  /** `version` of what is retained; null where it is to be looked up. Throws where it cannot be written: then it is tried again. */
  take(envelope: Envelope, version: number | null): void | Promise<void>
  readLog(node: number, after: number, upTo: number, limit: number): Promise<LogRow[]>
  onTrouble(error: unknown): void
}) {
  const publishers = new Map<number, Publisher>()
  let isClosed = false
  let brought = 0
  let readFromLog = 0

  function publisherOf(node: number): Publisher {
    let known = publishers.get(node)
    if (known === undefined) {
      known = { node, taken: 0, digests: [], bodies: new Map(), bodyBytes: 0, isWorking: false }
      publishers.set(node, known)
    }
    return known
  }

  function forget(publisher: Publisher, number: number): Envelope | undefined {
    const body = publisher.bodies.get(number)
    if (body === undefined) return undefined
    publisher.bodies.delete(number)
    publisher.bodyBytes -= body.message.payload.length
    return body
  }

  async function read(publisher: Publisher, number: number): Promise<Envelope | null> {
    const [row] = await parts.readLog(publisher.node, number - 1, number, 1)
    readFromLog += 1
    return row === undefined ? null : parts.decode(row.message)
  }

  function isFor({ message, shares }: Envelope): boolean {
    return message.retain || [...shares.values()].includes(parts.me) || parts.isWanted(message.topic)
  }

  async function catchUp(publisher: Publisher, upTo: number): Promise<void> {
    while (publisher.taken < upTo && !isClosed) {
      const rows = await parts.readLog(publisher.node, publisher.taken, upTo, PAGE)
      for (const { number, message } of rows) {
        forget(publisher, number)
        const envelope = parts.decode(message)
        if (envelope === null)
          parts.onTrouble(new Error(`message ${number} of node ${publisher.node} in the log is none`))
        else if (isFor(envelope)) {
          readFromLog += 1
          const done = parts.take(envelope, null)
          if (done !== undefined) await done
        }
        publisher.taken = number
      }
      if (rows.length < PAGE) publisher.taken = Math.max(publisher.taken, upTo)
    }
  }

  /** Gives a promise only where something has to be read. */
  function takeEntry(publisher: Publisher, entry: DigestEntry, number: number): void | Promise<void> {
    const body = forget(publisher, number) ?? null
    const { retained } = entry
    if (retained === null && !entry.nodes.includes(parts.me) && !parts.isWanted(entry.topic)) return
    const found = body ?? (retained?.inline ? parts.decode(retained.inline) : null)
    const version = retained?.version ?? null
    if (found !== null) {
      brought += 1
      return parts.take(found, version)
    }
    return read(publisher, number).then(read => (read === null ? undefined : parts.take(read, version)))
  }

  /** Takes digests in their order. Nothing is awaited where all bodies are there. */
  function work(publisher: Publisher): void {
    if (publisher.isWorking) return
    publisher.isWorking = true
    const steps = stepsOf(publisher)
    const goOn = (): void => {
      try {
        for (;;) {
          const { done, value } = steps.next()
          if (done === true) break
          if (value !== undefined) {
            value.then(goOn, again)
            return
          }
        }
        publisher.isWorking = false
      } catch (error) {
        again(error)
      }
    }
    const again = (error: unknown): void => {
      parts.onTrouble(error)
      publisher.isWorking = false
      if (!isClosed) setTimeout(() => work(publisher), RETRY_MS).unref()
    }
    goOn()
  }

  function* stepsOf(publisher: Publisher): Generator<void | Promise<void>> {
    for (;;) {
      const digest = publisher.digests[0]
      if (digest === undefined || isClosed) return
      if (digest.first > publisher.taken + 1) yield catchUp(publisher, digest.first - 1)
      for (const [at, entry] of digest.entries.entries()) {
        const number = digest.first + at
        if (number <= publisher.taken) {
          forget(publisher, number)
          continue
        }
        const taking = takeEntry(publisher, entry, number)
        if (taking !== undefined) yield taking
        publisher.taken = number
      }
      publisher.digests.shift()
    }
  }

  return {
    /** Where this node begins: what was published before is none of its matter. */
    begin(positions: Readonly<Record<string, number>>): void {
      for (const [node, number] of Object.entries(positions)) publisherOf(Number(node)).taken = number
    },
    body(envelope: Envelope): void {
      const publisher = publisherOf(envelope.publisherNode)
      const bytes = envelope.message.payload.length
      if (envelope.number <= publisher.taken || publisher.bodyBytes + bytes > BODY_BYTES_MAX) return
      publisher.bodies.set(envelope.number, envelope)
      publisher.bodyBytes += bytes
    },
    digest(digest: Digest): void {
      const publisher = publisherOf(digest.from)
      // What is not noted here is read from the log.
      if (publisher.digests.length >= DIGESTS_MAX) return
      publisher.digests.push(digest)
      work(publisher)
    },
    /** The log of this node goes so far. */
    reaches(node: number, last: number): void {
      const publisher = publisherOf(node)
      if (last <= publisher.taken || publisher.digests.length > 0) return
      publisher.digests.push({ from: node, first: last + 1, entries: [] })
      work(publisher)
    },
    /** How many messages for this node the bus brought, and how many it did not. */
    counts: () => ({ brought, readFromLog }),
    taken: (node: number) => publishers.get(node)?.taken ?? 0,
    positions: (): Record<string, number> =>
      Object.fromEntries([...publishers.values()].map(({ node, taken }) => [node, taken])),
    /** The node is no more, and all that it published is taken. */
    drop: (node: number) => void publishers.delete(node),
    close(): void {
      isClosed = true
    },
  }
}
