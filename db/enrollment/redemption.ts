// What entitles a device to a certificate without an operator's hand, used up in the transaction that decides about it.
import type { Transaction } from 'kysely'
import type { Actor } from '../audit/audit.ts'
import type { Schema } from '../schema.ts'
import { useClaimIn } from './claims.ts'
import { useTokenIn } from './enrollment-tokens.ts'
import { type Idevid, useIdevidIn } from './idevids.ts'
import { type TpmUse, useTpmIn } from './tpm-redemption.ts'

/** `tpm` beside a token: the token names the device, and the TPM proves its key. */
export type Redemption =
  | { token: string; tpm?: TpmUse }
  | { claim: string }
  | { idevid: Idevid }
  | { tpm: TpmUse }

type Decided = { redeems?: Redemption | undefined; deviceId: string; spkiHash: string; serialNumber: string }

/** Throws a Conflict where it does not hold (any more); the device may be registered by it. */
export async function redeem(
  transaction: Transaction<Schema>,
  { redeems, deviceId, spkiHash, serialNumber }: Decided,
  actor: Actor,
  at: number,
): Promise<void> {
  if (redeems === undefined) return
  if ('token' in redeems) {
    await useTokenIn(transaction, { id: redeems.token, deviceId, spkiHash, serialNumber }, actor, at)
  } else if ('claim' in redeems) {
    await useClaimIn(transaction, { id: redeems.claim, deviceId }, actor, at)
  } else if ('idevid' in redeems) {
    await useIdevidIn(transaction, { ...redeems.idevid, deviceId }, actor, at)
  }
  if (!('tpm' in redeems) || redeems.tpm === undefined) return
  const byToken = 'token' in redeems
  await useTpmIn(transaction, redeems.tpm, { deviceId, serialNumber, byToken }, actor, at)
}
