// The connection of a node to the bus: kept up for as long as the node runs. What was lost meanwhile is noticed by its users.
import { connect, type NatsConnection } from '@nats-io/transport-node'
import type { BusAddress } from './address.ts'

export type BusConnection = NatsConnection

const RECONNECT_MS = 200
const PING_MS = 5_000

/** Rejects where the bus cannot be reached now. What it sends does not come back to it. */
export async function connectBus({ shown, ...address }: BusAddress, name: string): Promise<BusConnection> {
  try {
    return await connect({
      ...address,
      name,
      noEcho: true,
      maxReconnectAttempts: -1,
      reconnectTimeWait: RECONNECT_MS,
      pingInterval: PING_MS,
    })
  } catch (error) {
    throw new Error(`the bus at ${shown} cannot be reached: ${(error as Error).message}`, { cause: error })
  }
}
