// Why nobody new is admitted where a replica was not brought in step for too long. Pure.
import { RegistryError } from '../../db/registry-error.ts'

/** `ageMs`: how long ago PostgreSQL was last heard. Null where that is within the bound. */
export function isolated(ageMs: number, isolationAdmitMs: number): RegistryError | null {
  if (ageMs <= isolationAdmitMs) return null
  return new RegistryError(
    'registry_unreachable',
    `PostgreSQL has not been heard for ${Math.round(ageMs / 1000)} s: nobody new is admitted (isolationAdmitMs)`,
  )
}
