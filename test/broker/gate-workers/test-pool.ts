// Gate workers without a broker: a roll, what is handed over, and what they tell.
import { createLimits } from '../../../broker/gate/limits/connection-limits.ts'
import { createTicketKeys } from '../../../broker/gate/tls/ticket-keys.ts'
import { type GatePoolOptions, openGatePool } from '../../../broker/gate-workers/pool.ts'
import { type BrokerSettings, validateSettings } from '../../../broker/settings/validation.ts'
import { connectPacket, openTls } from '../../harness/broker.ts'
import { createRoll } from '../../harness/roll.ts'

type TestPool = AsyncDisposable & {
  pids(): number[]
  refusals: string[]
  /** How each gate that died ended. */
  deaths: string[]
  /** Whether a listed device that says CONNECT comes to the engine. */
  isHanded(): Promise<boolean>
}

/** One gate on a roll that the engine takes for a replica of this age. */
export async function startTestPool(
  given: Partial<BrokerSettings>,
  more: Pick<GatePoolOptions, 'replicaAgeMs'> & Partial<GatePoolOptions>,
): Promise<TestPool> {
  const roll = await createRoll()
  const identity = await roll.enroll('d1')
  const settings = validateSettings({ gates: 1, ...given })
  const ticketKeys = createTicketKeys(settings.ticketLifetimeMs)
  const refusals: string[] = []
  const deaths: string[] = []
  let handed = 0
  const nothing = () => {}
  const pool = await openGatePool({
    ...{ data: roll.data, host: '127.0.0.1', port: 0, gates: 1, settings },
    registry: roll.registry,
    ticketKeys: ticketKeys.now,
    limits: createLimits(settings, () => performance.now()),
    handleConnection({ stream }) {
      handed += 1
      stream.destroy()
      return { drop: nothing }
    },
    deviceOf: () => null,
    selfRegistration: { note: () => true },
    observer: {
      refused: reason => void refusals.push(reason),
      ...{ handshakeTook: nothing, refusalDelayed: nothing, admissionTook: nothing },
      ...{ trustReloaded: nothing, trustNotReloaded: nothing, registryInDoubt: nothing },
      ...{ gateReady: nothing, gateFigures: nothing },
      gateDied: (_, how) => void deaths.push(how),
    },
    ...more,
  })
  return {
    pids: pool.pids,
    refusals,
    deaths,
    async isHanded() {
      const before = handed
      const socket = await openTls({ broker: pool, roll }, { identity }).catch(() => null)
      if (socket === null) return false
      socket.on('error', nothing)
      socket.write(connectPacket({ clientId: 'd1' }))
      socket.resume()
      await new Promise(resolve => socket.once('close', resolve))
      return handed > before
    },
    async [Symbol.asyncDispose]() {
      ticketKeys.stop()
      await pool.stop()
      await roll.close()
    },
  }
}
