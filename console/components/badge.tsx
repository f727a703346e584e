// A word in colour for the state of a thing. The colour repeats what the word says.
import type { ReactNode } from 'react'
import type { Tone } from '../labels/tone.ts'

export function Badge({
  tone = 'neutral',
  dot = false,
  children,
}: {
  tone?: Tone
  dot?: boolean
  children: ReactNode
}) {
  return (
    <span className={`badge ${tone}`}>
      {dot ? <span className="dot" aria-hidden="true" /> : null}
      {children}
    </span>
  )
}

const tones: Record<string, Tone> = {
  accepted: 'good',
  enabled: 'good',
  failing: 'bad',
  disabled: 'bad',
  expired: 'neutral',
  registered: 'info',
  active: 'good',
  suspended: 'warn',
  decommissioned: 'neutral',
  pending: 'warn',
  issued: 'info',
  superseded: 'neutral',
  rejected: 'bad',
  retired: 'neutral',
  lapsed: 'neutral',
  revoked: 'bad',
  open: 'info',
  used: 'good',
  done: 'good',
  failed: 'bad',
  running: 'info',
}

/** Of a device, a certificate, a token or a job. */
export function StateBadge({ state }: { state: string }) {
  return <Badge tone={Object.hasOwn(tones, state) ? tones[state]! : 'neutral'}>{state}</Badge>
}
