// The name of a page and what can be done on it. Takes the focus when the page opens, so that it is read first.
import { type ReactNode, useEffect, useRef } from 'react'

export function PageHeader({
  title,
  lead,
  actions,
  badges,
}: {
  title: string
  lead?: ReactNode
  actions?: ReactNode
  badges?: ReactNode
}) {
  const heading = useRef<HTMLHeadingElement>(null)
  useEffect(() => {
    document.title = `${title} · Rollcall`
    // Leaves the focus in a search that has it.
    if (!(document.activeElement instanceof HTMLInputElement)) heading.current?.focus({ preventScroll: true })
  }, [title])
  return (
    <div className="page-head">
      <div className="stack tight">
        <div className="row">
          <h1 ref={heading} tabIndex={-1}>
            {title}
          </h1>
          {badges}
        </div>
        {lead === undefined ? null : <p className="lead">{lead}</p>}
      </div>
      {actions === undefined ? null : <div className="row">{actions}</div>}
    </div>
  )
}
