// The limits of a device's sessions, today and under a draft, as one paragraph.
import type { HeldLimits, PolicyLimitsCompared } from '../../../client/policy-types.ts'

export function LimitsLine({ of: { now, draft } }: { of: PolicyLimitsCompared }) {
  const [before, after] = [inWords(now), inWords(draft)]
  return <p className="small soft">{before === after ? `${after}.` : `${after}; today: ${before}.`}</p>
}

function inWords({ qosMax, sessionExpiryMaxSeconds: seconds }: HeldLimits): string {
  return `QoS up to ${qosMax}, session expiry ${seconds === null ? 'unlimited' : `up to ${seconds} s`}`
}
