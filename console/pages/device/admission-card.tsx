// Would it be let in now, and if not, why: every check in its order, as the broker makes them.
import type { Explanation } from '../../../client/types.ts'
import type { Query } from '../../api/use-query.ts'
import { Badge } from '../../components/badge.tsx'
import { Card } from '../../components/card.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { Skeleton } from '../../components/placeholders.tsx'
import { answerText, humanize, reasonLabel } from '../../labels/reasons.ts'

const marks = { passed: '✓', failed: '✕', skipped: '·' } as const

export function AdmissionCard({ answer }: { answer: Query<Explanation> }) {
  const { data, failure, loading } = answer
  return (
    <Card title="Admission">
      <FailureNotice failure={failure} refetch={answer.refetch} />
      {loading ? <Skeleton /> : null}
      {data === null ? null : (
        <>
          <div className="verdict">
            <Badge tone={data.wouldBeAdmitted ? 'good' : 'bad'} dot>
              {data.wouldBeAdmitted ? 'would be admitted' : 'would be refused'}
            </Badge>
            {data.reason === null ? null : <code className="faint">{data.reason}</code>}
          </div>
          <p className="break">{data.message}.</p>
          {data.answer === null ? null : <p className="soft small">{answerText(data.answer)}</p>}
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
                      {humanize(check.name)}
                      {check.reason === null ? null : (
                        <div className="soft">{reasonLabel(check.reason).title}</div>
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
