// One statement of the standard and how it is tried. Types alone.
import type { Version } from './peer.ts'
import type { Trial } from './trial.ts'

export type Clause = {
  /** As the standard numbers it, by version; `§…` where it has no number. */
  id: Partial<Record<Version, string>>
  what: string
  /** @throws ClauseFailed, NotApplicable */
  play(trial: Trial): Promise<void>
}
