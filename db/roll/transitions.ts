// The whole state machine of devices and certificates: which move leads from where to where. Every verb asks here.
// Knows no registry and no clock; when a move is due, and who may make it, is decided elsewhere.
import type { CertificateStatus, DeviceState } from '../schema.ts'

type Moves<State> = Record<string, { from: readonly State[]; to: State | null }>

/** Moves of a certificate. `to: null` takes it off the roll. */
export const certificateMoves = {
  approve: { from: ['pending'], to: 'active' },
  reject: { from: ['pending'], to: 'rejected' },
  /** Nobody decided in time. */
  forget: { from: ['pending'], to: null },
  /** The first CONNECT. */
  use: { from: ['issued'], to: 'active' },
  /** The first CONNECT of a certificate listed later. One that was never used is passed over by it just the same. */
  supersede: { from: ['issued', 'active'], to: 'superseded' },
  suspend: { from: ['active'], to: 'suspended' },
  activate: { from: ['suspended'], to: 'active' },
  /** Its grace is over. */
  retire: { from: ['superseded'], to: 'retired' },
  /** A renewal that nobody used. */
  lapse: { from: ['issued'], to: 'lapsed' },
  revoke: { from: ['issued', 'active', 'superseded', 'suspended'], to: 'revoked' },
} as const satisfies Moves<CertificateStatus>

/** Moves of a device. One that never connected can be suspended, and returns from suspension to `active` too. */
export const deviceMoves = {
  /** The first CONNECT. */
  use: { from: ['registered'], to: 'active' },
  suspend: { from: ['registered', 'active'], to: 'suspended' },
  activate: { from: ['registered', 'suspended'], to: 'active' },
  decommission: { from: ['registered', 'active', 'suspended'], to: 'decommissioned' },
} as const satisfies Moves<DeviceState>

export type CertificateMove = keyof typeof certificateMoves
export type DeviceMove = keyof typeof deviceMoves

/** Whether the table has this move from this status. */
export function certificateMay(move: CertificateMove, from: CertificateStatus): boolean {
  return (certificateMoves[move].from as readonly CertificateStatus[]).includes(from)
}

/** Whether the table has this move from this state. */
export function deviceMay(move: DeviceMove, from: DeviceState): boolean {
  return (deviceMoves[move].from as readonly DeviceState[]).includes(from)
}

/** For statements in SQL: the statuses a move leads from, quoted. They come from the table alone. */
export function fromIn(move: CertificateMove): string {
  return certificateMoves[move].from.map(status => `'${status}'`).join(', ')
}
