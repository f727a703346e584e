// The result of a conformance run as JUnit XML: a test case for each clause. Pure.

import { protocolText } from '../output/figures.ts'
import { suiteText } from '../output/junit.ts'
import type { ClauseResult } from './run.ts'

export function conformanceJunit({
  broker,
  at,
  clauses,
}: {
  broker: string
  at: string
  clauses: ClauseResult[]
}): string {
  return suiteText(
    `conformance of ${broker}`,
    at,
    clauses.reduce((sum, { seconds }) => sum + seconds, 0),
    clauses.map(({ version, id, what, outcome, reason, seconds }) => ({
      group: `conformance.${protocolText(version)}`,
      name: `${id} ${what}`,
      failure: outcome === 'failed' ? reason : null,
      skipped: outcome === 'not applicable' ? (reason ?? '') : null,
      seconds,
    })),
  )
}
