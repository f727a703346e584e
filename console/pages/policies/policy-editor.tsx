// The document as text, with numbers for its lines and what is wrong beside the line where it is.
import { useRef } from 'react'
import { Badge } from '../../components/badge.tsx'
import { many } from '../../labels/formats.ts'
import type { DraftValidation } from './draft.ts'

export function PolicyEditor({
  text,
  validation,
  readOnly,
  onChange,
}: {
  text: string
  validation: DraftValidation
  readOnly: boolean
  onChange: (text: string) => void
}) {
  const gutter = useRef<HTMLDivElement>(null)
  const area = useRef<HTMLTextAreaElement>(null)
  const lines = text.split('\n').length
  const wrong = new Set(validation.faults.map(({ line }) => line))
  const goTo = (line: number) => {
    const start =
      text
        .split('\n')
        .slice(0, line - 1)
        .join('\n').length + (line > 1 ? 1 : 0)
    const end = text.indexOf('\n', start)
    area.current?.focus()
    area.current?.setSelectionRange(start, end < 0 ? text.length : end)
  }
  return (
    <div className="stack tight">
      <div className="editor">
        <div className="gutter" ref={gutter} aria-hidden="true">
          {Array.from({ length: lines }, (_, at) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a line is its number
            <div key={at} className={wrong.has(at + 1) ? 'wrong' : ''}>
              {at + 1}
            </div>
          ))}
        </div>
        <textarea
          ref={area}
          aria-label="Policy document"
          aria-describedby="policy-faults"
          aria-invalid={validation.faults.length > 0 || undefined}
          spellCheck={false}
          autoComplete="off"
          wrap="off"
          readOnly={readOnly}
          rows={Math.min(32, Math.max(12, lines + 1))}
          value={text}
          onChange={event => onChange(event.target.value)}
          onScroll={event => {
            if (gutter.current !== null) gutter.current.scrollTop = event.currentTarget.scrollTop
          }}
        />
      </div>
      <div id="policy-faults" role="status">
        {validation.faults.length === 0 ? (
          <Badge tone="good">
            {many(validation.document?.statements.length ?? 0, 'statement')}, no fault
          </Badge>
        ) : (
          <ul className="list small">
            {validation.faults.map(({ line, path, message }) => (
              <li key={`${line} ${path} ${message}`} className="row">
                <button type="button" className="button small danger" onClick={() => goTo(line)}>
                  line {line}
                </button>
                <span className="break">
                  {path === '' ? '' : <code>{path}</code>} {message}
                </span>
              </li>
            ))}
          </ul>
        )}
      </div>
    </div>
  )
}
