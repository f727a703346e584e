// Something to know, on the page where it matters. A failure is announced; the rest waits to be read.
import type { ReactNode } from 'react'
import { ApiProblem } from '../../client/failures.ts'
import { Button } from './button.tsx'

export function Notice({
  tone = 'info',
  title,
  children,
}: {
  tone?: 'info' | 'good' | 'warn' | 'bad'
  title: string
  children?: ReactNode
}) {
  return (
    <div className={`notice ${tone}`} role={tone === 'bad' ? 'alert' : 'status'}>
      <strong>{title}</strong>
      {children}
    </div>
  )
}

/** What went wrong, what to do about it, and the ID under which the log says more. Nothing where nothing did. */
export function FailureNotice({
  failure,
  refetch,
}: {
  failure: unknown
  refetch?: (() => void) | undefined
}) {
  if (failure === null || failure === undefined) return null
  const retry =
    refetch === undefined ? null : (
      <Button small onClick={refetch}>
        Try again
      </Button>
    )
  if (!(failure instanceof ApiProblem)) {
    const said = failure instanceof Error ? failure.message : 'Something failed in this page.'
    return (
      <Notice tone="bad" title={said}>
        {retry}
      </Notice>
    )
  }
  return (
    <Notice tone="bad" title={sentence(failure.message)}>
      {failure.findings.length === 0 ? null : (
        <ul className="small">
          {failure.findings.map(({ path, message }) => (
            <li key={`${path} ${message}`}>
              <code>{path}</code>: {message}
            </li>
          ))}
        </ul>
      )}
      {failure.hint === '' ? null : <p className="small">{failure.hint}</p>}
      <p className="small faint">
        {failure.reason}
        {failure.requestId === null ? '' : ` · request ${failure.requestId}`}
      </p>
      {retry}
    </Notice>
  )
}

/** Of all that a form sent, what is wrong with one field. */
export function fieldError(failure: unknown, path: string): string | null {
  if (!(failure instanceof ApiProblem)) return null
  return (
    failure.findings.find(finding => finding.path === path || finding.path === `body.${path}`)?.message ??
    null
  )
}

/** What begins with an ID or a topic keeps it as it is. */
function sentence(text: string): string {
  const begin = /^[a-z]+[ ,]/.test(text) ? text.charAt(0).toUpperCase() : text.charAt(0)
  return begin + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.')
}
