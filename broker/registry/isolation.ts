// Why nobody new is admitted where a replica was not brought in step for too long. Pure.
import { RegistryError } from '../../db/registry-error.ts'

/**
 * `ageMs`: how long ago PostgreSQL was last heard and followed; `trouble` says why it was not, where that is known. Null where the age is within
 * the bound.
 */
export function isolated(
  ageMs: number,
  isolationAdmitMs: number,
  trouble: Error | null = null,
): RegistryError | null {
  if (ageMs <= isolationAdmitMs) return null
  const why = trouble === null ? '' : `. ${trouble.message}`
  return new RegistryError(
    'registry_unreachable',
    `PostgreSQL has not been heard for ${Math.round(ageMs / 1000)} s: nobody new is admitted (isolationAdmitMs)${why}`,
    { cause: trouble },
  )
}
