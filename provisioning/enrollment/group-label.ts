// Whether what a device shows is for the group that the address of a request names: the label narrows, and never chooses.
import type { EnrollmentTokenStore } from '../../db/enrollment/enrollment-tokens.ts'
import type { RollReader } from '../../db/roll/roll-reader.ts'
import type { ShownCredential } from './enrollment-service.ts'

type Parts = { roll: Pick<RollReader, 'device'>; writer: Pick<EnrollmentTokenStore, 'knownToken'> }

/** `shown` is what may enroll, or a device by its certificate. */
export async function isForGroup(
  { roll, writer }: Parts,
  label: string,
  shown: ShownCredential | { deviceId: string },
): Promise<boolean> {
  const isMember = async (deviceId: string) => (await roll.device(deviceId))?.groups.includes(label) ?? false
  if ('deviceId' in shown) return isMember(shown.deviceId)
  if (shown.kind === 'claim') return shown.claim.group === label
  if (shown.kind === 'idevid') return shown.shown.group === label
  const token = writer.knownToken(shown.id)
  return token !== null && token.deviceId !== null ? isMember(token.deviceId) : token?.group === label
}
