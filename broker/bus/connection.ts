// The connection of a node to the bus: kept up for as long as the node runs. While it is down nothing is gathered for it: what must not be
// lost is elsewhere.
import { connect, errors, type NatsConnection } from '@nats-io/transport-node'
import type { BusAddress } from './address.ts'

export type BusConnection = Pick<
  NatsConnection,
  'publish' | 'subscribe' | 'request' | 'flush' | 'isClosed' | 'close'
> & {
  isUp(): boolean
  /** Calls when it is up again. What was sent and what came meanwhile may be lost. */
  onUp(listener: () => void): void
}

const RECONNECT_MS = 200
/** A server that answers no ping within this is given up. */
const PING_MS = 3_000

/** Rejects where the bus cannot be reached now. What it sends does not come back to it. */
export async function connectBus({ shown, ...address }: BusAddress, name: string): Promise<BusConnection> {
  let nats: NatsConnection
  try {
    nats = await connect({
      ...address,
      name,
      noEcho: true,
      maxReconnectAttempts: -1,
      reconnectTimeWait: RECONNECT_MS,
      pingInterval: PING_MS,
      maxPingOut: 1,
    })
  } catch (error) {
    throw new Error(`the bus at ${shown} cannot be reached: ${(error as Error).message}`, { cause: error })
  }
  const listeners: (() => void)[] = []
  let isUp = true
  void (async () => {
    for await (const { type } of nats.status()) {
      if (type === 'disconnect' || type === 'staleConnection' || type === 'close') isUp = false
      if (type !== 'reconnect') continue
      isUp = true
      for (const listener of listeners) listener()
    }
  })()
  return {
    publish(...message: Parameters<NatsConnection['publish']>) {
      if (isUp) nats.publish(...message)
    },
    subscribe: nats.subscribe.bind(nats),
    async request(...asked: Parameters<NatsConnection['request']>) {
      if (!isUp) throw new Error('the bus is away')
      return await nats.request(...asked)
    },
    async flush() {
      if (isUp) await nats.flush()
    },
    isClosed: nats.isClosed.bind(nats),
    close: nats.close.bind(nats),
    isUp: () => isUp,
    onUp: listener => void listeners.push(listener),
  }
}

/** Whether what was asked failed because nobody on the bus listens to that subject. */
export function isUnheard(error: unknown): boolean {
  return error instanceof errors.RequestError && error.isNoResponders()
}
