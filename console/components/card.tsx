// A box around what belongs together, with its name. `flush` for tables, which bring their own edges.
import { type ReactNode, useId } from 'react'

export function Card({
  title,
  aside,
  flush = false,
  children,
}: {
  title: string
  aside?: ReactNode
  flush?: boolean
  children: ReactNode
}) {
  const id = useId()
  return (
    <section className={`card ${flush ? 'flush' : ''}`} aria-labelledby={id}>
      <header>
        <h2 id={id}>{title}</h2>
        {aside === undefined ? null : <div className="row small faint">{aside}</div>}
      </header>
      {children}
    </section>
  )
}
