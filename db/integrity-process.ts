// SQLite's check of a whole registry, in a process of its own: it reads every page, which takes seconds where there are many.
// Started by `integrity-check.ts` alone; tells its parent what it found.
import { constants, setPriority } from 'node:os'
import { assertIntegrity, openForReading } from './open.ts'

/** `null` where the file is whole. */
export type Findings = { damage: string | null }

setPriority(constants.priority.PRIORITY_LOW)
process.once('disconnect', () => process.exit())
const findings: Findings = { damage: null }
try {
  assertIntegrity(openForReading(process.argv[2] ?? ''))
} catch (error) {
  findings.damage = (error as Error).message
}
process.send?.(findings, () => process.exit())
