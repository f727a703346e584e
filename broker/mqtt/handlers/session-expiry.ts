// How long a session outlives its connection (MQTT 5 §3.1.2.11.2): what its client asks for, within what settings and policies allow.
import type { DeviceRights } from '../rights-resolver.ts'

export const SESSION_EXPIRY = 0x11
/** Session Expiry Interval for a session without end. */
export const NEVER = 0xffff_ffff

/**
 * In seconds; null for no end. `asked` is null before version 5, where Clean Session is all that is said: the setting is for version 5,
 * the limit of a policy holds in every version.
 */
export function sessionExpiry(
  asked: number | null,
  { sessionExpiryMaxSeconds }: { sessionExpiryMaxSeconds: number },
  { limits }: Pick<DeviceRights, 'limits'>,
): number | null {
  const wanted = asked ?? NEVER
  const setting = asked === null || sessionExpiryMaxSeconds === 0 ? NEVER : sessionExpiryMaxSeconds
  const given = Math.min(wanted, setting, limits?.sessionExpiryMaxSeconds ?? NEVER)
  return given === NEVER ? null : given
}
