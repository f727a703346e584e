// A form field with its name, what it is for, and what is wrong with it.
import { type ReactNode, useId } from 'react'

type FieldLink = { id: string; 'aria-describedby'?: string; 'aria-invalid'?: true }

export function Field({
  label,
  hint,
  fault,
  wide = false,
  children,
}: {
  label: ReactNode
  hint?: ReactNode
  fault?: string | null | undefined
  wide?: boolean
  children: (link: FieldLink) => ReactNode
}) {
  const id = useId()
  const wrong = fault !== undefined && fault !== null
  const described = [hint === undefined ? '' : `${id}-hint`, wrong ? `${id}-fault` : '']
    .filter(Boolean)
    .join(' ')
  const link: FieldLink = {
    id,
    ...(described === '' ? {} : { 'aria-describedby': described }),
    ...(wrong ? { 'aria-invalid': true as const } : {}),
  }
  return (
    <div className={`field ${wide ? 'wide' : ''}`}>
      <label htmlFor={id}>{label}</label>
      {children(link)}
      {hint === undefined ? null : (
        <div className="hint" id={`${id}-hint`}>
          {hint}
        </div>
      )}
      {wrong ? (
        <div className="fault" id={`${id}-fault`}>
          {fault}
        </div>
      ) : null}
    </div>
  )
}
