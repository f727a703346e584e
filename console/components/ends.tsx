// When a certificate ends, in the colour of how soon that is.

import type { Tone } from '../labels/tone.ts'
import { Badge } from './badge.tsx'
import { Timestamp, useNow } from './timestamp.tsx'

const DAY_MS = 86_400_000

export function Ends({ at, soonDays }: { at: string; soonDays: number }) {
  const left = Date.parse(at) - useNow()
  const tone: Tone = left < 0 ? 'bad' : left < soonDays * DAY_MS ? 'warn' : 'good'
  return (
    <Badge tone={tone}>
      {left < 0 ? 'ended ' : 'ends '}
      <Timestamp at={at} />
    </Badge>
  )
}
