// Whether the registry can be believed, by the last result of each check that the revocation watch repeats.
// Reads nothing itself.
import type { RegistryError } from '../../db/registry-error.ts'

/** Why the registry cannot be used to admit new connections now. */
export type Doubt = {
  /** `gone`: the file is missing. `replaced`: another file has its name. `unfollowed`: the change feed has not been read for too long.
   * `isolated`: PostgreSQL has not been heard for too long. */
  kind: 'gone' | 'replaced' | 'unfollowed' | 'isolated'
  error: unknown
}

/** `feed`: the change feed was read and acted on. `expiry`: expired sessions were cut. `file`: the registry is the file it was. */
type RegistryCheck = 'feed' | 'expiry' | 'file'

export type RegistryHealth = {
  /** Runs a check. An error counts against the registry until the same check succeeds; the other checks prove nothing about it. */
  run(check: RegistryCheck, work: () => unknown): Promise<void>
  healthy(): boolean
  /** Null while new connections can be judged by the registry. */
  doubt(): Doubt | null
}

/**
 * `isolated`: the error where the replica has been out of step for too long; null on one machine and where all is well.
 * `lossMs`: how long the change feed may stay unread before no new connection is admitted.
 */
export function createRegistryHealth(
  lossMs: number,
  onDoubt: (error: unknown) => void,
  isolated: () => Error | null = () => null,
): RegistryHealth {
  const failures = new Map<RegistryCheck, unknown>()
  let feedReadAt = performance.now()

  return {
    async run(check, work) {
      try {
        await work()
        failures.delete(check)
        if (check === 'feed') feedReadAt = performance.now()
      } catch (error) {
        failures.set(check, error)
        onDoubt(error)
      }
    },
    healthy: () => failures.size === 0 && isolated() === null,
    doubt() {
      const alone = isolated()
      if (alone !== null) return { kind: 'isolated', error: alone }
      const error = failures.get('file')
      if (error !== undefined)
        return { kind: (error as RegistryError).code === 'registry_replaced' ? 'replaced' : 'gone', error }
      const unfollowed = failures.has('feed') && performance.now() - feedReadAt >= lossMs
      return unfollowed ? { kind: 'unfollowed', error: failures.get('feed') } : null
    },
  }
}
