// The whole state machine of devices and certificates: which move leads from where to where. Every verb asks here.
// Knows no registry and no clock; when a transition is due, and which caller may make it, is decided elsewhere.
import { type CertificateStatus, certificateStatuses, type DeviceState } from '../schema.ts'

type Moves<State> = Record<string, { from: readonly State[]; to: State | null }>

/** Moves of a certificate. `to: null` takes it off the roll. */
export const certificateTransitions = {
  approve: { from: ['pending'], to: 'active' },
  reject: { from: ['pending'], to: 'rejected' },
  /** Nobody decided in time about one that another CA signed. */
  forget: { from: ['pending'], to: null },
  /** The first CONNECT. */
  use: { from: ['issued'], to: 'active' },
  /** The first CONNECT of a certificate listed later. One that was never used is passed over by it just the same. */
  supersede: { from: ['issued', 'active'], to: 'superseded' },
  suspend: { from: ['active'], to: 'suspended' },
  /** Another certificate of its key is in two hands. */
  hold: { from: ['issued', 'active', 'superseded'], to: 'suspended' },
  /** One that was superseded before is superseded again: it has its grace, and no more. */
  activate: { from: ['suspended'], to: 'active' },
  /** Its grace is over. */
  retire: { from: ['superseded'], to: 'retired' },
  /** A renewal that nobody used, and one of ours that nobody decided about: it was signed, so CRL and OCSP must tell of it. */
  lapse: { from: ['issued', 'pending'], to: 'lapsed' },
  revoke: { from: ['issued', 'active', 'superseded', 'suspended'], to: 'revoked' },
  /** Its key is not safe: that is said of a certificate whatever became of it, and goes for all others of the key. */
  compromise: {
    from: certificateStatuses,
    to: 'revoked',
  },
} as const satisfies Moves<CertificateStatus>

/** Moves of a device. One that never connected can be suspended, and returns from suspension to `active` too. */
export const deviceTransitions = {
  /** The first CONNECT. */
  use: { from: ['registered'], to: 'active' },
  suspend: { from: ['registered', 'active'], to: 'suspended' },
  activate: { from: ['registered', 'suspended'], to: 'active' },
  decommission: { from: ['registered', 'active', 'suspended'], to: 'decommissioned' },
} as const satisfies Moves<DeviceState>

export type CertificateTransition = keyof typeof certificateTransitions
type DeviceTransition = keyof typeof deviceTransitions

/** Whether the table has this move from this status. */
export function certificateMay(move: CertificateTransition, from: CertificateStatus): boolean {
  return (certificateTransitions[move].from as readonly CertificateStatus[]).includes(from)
}

/** Whether the table has this move from this state. */
export function deviceMay(move: DeviceTransition, from: DeviceState): boolean {
  return (deviceTransitions[move].from as readonly DeviceState[]).includes(from)
}

/** Statuses in which a certificate admits, or did until its grace was over: a clock that is set back makes it admit again. */
const admittingStatuses: readonly CertificateStatus[] = ['issued', 'active', 'superseded']

/** Whether some sequence of moves leads from this status to one that admits; what an operator or time may still undo counts. */
export function canEverAdmit(status: CertificateStatus): boolean {
  const reached = new Set<CertificateStatus>([status])
  for (const from of reached) {
    if (admittingStatuses.includes(from)) return true
    for (const { from: sources, to } of Object.values<Moves<CertificateStatus>[string]>(
      certificateTransitions,
    ))
      if (to !== null && sources.includes(from)) reached.add(to)
  }
  return false
}

/** For statements in SQL: the statuses a move leads from, quoted. They come from the table alone. */
export function fromIn(move: CertificateTransition): string {
  return certificateTransitions[move].from.map(status => `'${status}'`).join(', ')
}
