// Limits of the gate on a clock that the test moves.
import assert from 'node:assert/strict'
import { createLimits } from '../../../../broker/gate/limits/connection-limits.ts'
import type { Reason } from '../../../../db/reason.ts'

export const standard = {
  connectionsMax: 100,
  handshakesMax: 100,
  handshakesWaitingMax: 0,
  handshakeWaitMs: 1_000,
  strangerShare: 100,
  addressRatePerSecond: 10,
  addressBurst: 5,
  addressHandshakesMax: 100,
  addressesMax: 3,
}

export function limitsAt(settings: Partial<typeof standard> = {}) {
  const clock = { ms: 1_000 }
  const counted = createLimits({ ...standard, ...settings }, () => clock.ms)
  function begin(address: string): Reason | null {
    let answered: Reason | null | undefined
    counted.begin(address, refusal => {
      answered = refusal
    })
    assert.notEqual(answered, undefined, 'answers at once')
    return answered ?? null
  }
  return { clock, limits: { ...counted, begin, enter: counted.begin } }
}
