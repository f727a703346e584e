// Would it be let in now, and if not, why: every check in its order, as the broker makes them.
import type { Explanation } from '../../../client/types.ts'
import type { Answered } from '../../api/use-answer.ts'
import { Badge } from '../../parts/badge.tsx'
import { Card } from '../../parts/card.tsx'
import { Skeleton } from '../../parts/empty.tsx'
import { FailureNotice } from '../../parts/notice.tsx'
import { plain, reasonOf } from '../../words/reasons.ts'

const marks = { passed: '✓', failed: '✕', skipped: '·' } as const

export function AdmissionCard({ answer }: { answer: Answered<Explanation> }) {
  const { data, failure, waiting } = answer
  return (
    <Card title="Admission">
      <FailureNotice failure={failure} again={answer.again} />
      {waiting ? <Skeleton /> : null}
      {data === null ? null : (
        <>
          <div className="verdict">
            <Badge tone={data.wouldBeAdmitted ? 'good' : 'bad'} dot>
              {data.wouldBeAdmitted ? 'would be admitted' : 'would be refused'}
            </Badge>
            {data.reason === null ? null : <code className="faint">{data.reason}</code>}
          </div>
          <p className="break">{data.message}.</p>
          {data.hint === null ? null : <p className="soft small">{data.hint}</p>}
          {data.checks.length === 0 ? null : (
            <details open={!data.wouldBeAdmitted}>
              <summary>
                {data.checks.filter(({ outcome }) => outcome === 'passed').length} of {data.checks.length}{' '}
                checks passed
              </summary>
              <ol className="list checks small">
                {data.checks.map(check => (
                  <li key={check.name}>
                    <span className={check.outcome} aria-hidden="true">
                      {marks[check.outcome]}
                    </span>
                    <span>
                      {plain(check.name)}
                      {check.reason === null ? null : (
                        <div className="soft">{reasonOf(check.reason).title}</div>
                      )}
                    </span>
                    <span className="faint">{check.outcome}</span>
                  </li>
                ))}
              </ol>
            </details>
          )}
        </>
      )}
    </Card>
  )
}
