// Sends the rogues in and says what is proven. Refusal counts only where the broker was seen to turn one away while
// it admitted an honest device before and after: a broker that is down or refuses everyone proves nothing.
import type { Identity } from './identity.ts'
import { openLink } from './links/mqttjs.ts'
import { isRefusal, nameOf, type Seen } from './links/seen.ts'
import { forEachBounded, type Schedule } from './pace.ts'
import type { Rogue, RogueKind } from './rogues.ts'
import type { Broker } from './target.ts'

export type RogueVerdict = 'refused' | 'admitted' | 'inconclusive'

export type RogueResult = {
  kind: RogueKind
  deviceId: string | null
  clientId: string
  verdict: RogueVerdict
  /** What the last attempt saw, as in the connect outcomes. */
  saw: string
  tries: number
}

export type RogueProof = {
  refused: number
  admitted: number
  inconclusive: number
  /** What the honest device saw before and after. */
  control: { before: string; after: string }
  results: RogueResult[]
}

export type ProofOptions = {
  broker: Broker
  /** A listed device of its own, so that the test disturbs nobody's session. */
  control: Identity
  schedule: Schedule
  connectTimeoutMs: number
  signal: AbortSignal
  triesMax?: number
  retryMs?: number
}

const AT_ONCE = 8

/** Never rejects. An attempt that was cut short by the signal is inconclusive. */
export async function proveRefusals(rogues: readonly Rogue[], options: ProofOptions): Promise<RogueProof> {
  const { control, triesMax = 3 } = options
  const honest = { clientId: control.deviceId, credentials: control }
  const before = await tryUntil(honest, seen => seen.kind === 'admitted', options, triesMax)
  const results: RogueResult[] = new Array(rogues.length)
  await forEachBounded(rogues, AT_ONCE, async (rogue, index) => {
    const conclusive = (seen: Seen): boolean => seen.kind === 'admitted' || isRefusal(seen)
    // Without an honest device inside nothing can be proven; still, one that gets in must be noticed.
    const patience = before.seen.kind === 'admitted' ? triesMax : 1
    const { seen, tries } = await tryUntil(rogue, conclusive, options, patience)
    results[index] = {
      kind: rogue.kind,
      deviceId: rogue.deviceId,
      clientId: rogue.clientId,
      verdict: seen.kind === 'admitted' ? 'admitted' : isRefusal(seen) ? 'refused' : 'inconclusive',
      saw: nameOf(seen),
      tries,
    }
  })
  const after = await tryUntil(honest, seen => seen.kind === 'admitted', options, triesMax)
  if (before.seen.kind !== 'admitted' || after.seen.kind !== 'admitted') {
    for (const result of results) if (result.verdict === 'refused') result.verdict = 'inconclusive'
  }
  const having = (verdict: RogueVerdict): number =>
    results.filter(result => result.verdict === verdict).length
  return {
    refused: having('refused'),
    admitted: having('admitted'),
    inconclusive: having('inconclusive'),
    control: { before: nameOf(before.seen), after: nameOf(after.seen) },
    results,
  }
}

async function tryUntil(
  who: { clientId: string; credentials: Identity | null },
  conclusive: (seen: Seen) => boolean,
  { broker, schedule, connectTimeoutMs, signal, retryMs = 500 }: ProofOptions,
  triesMax: number,
): Promise<{ seen: Seen; tries: number }> {
  let seen: Seen = { kind: 'cancelled' }
  let tries = 0
  while (tries < triesMax && !signal.aborted) {
    if (tries > 0) await schedule.wait(schedule.now() + retryMs * tries, signal)
    if (signal.aborted) break
    tries++
    seen = await tryOnce({ broker, ...who, timeoutMs: connectTimeoutMs }, signal)
    if (conclusive(seen)) break
  }
  return { seen, tries }
}

async function tryOnce(options: Parameters<typeof openLink>[0], signal: AbortSignal): Promise<Seen> {
  const attempt = openLink(options)
  signal.addEventListener('abort', attempt.cancel, { once: true })
  const { seen, session } = await attempt.settled
  signal.removeEventListener('abort', attempt.cancel)
  await session?.end()
  return seen
}
